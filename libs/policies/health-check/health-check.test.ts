import { testKindCases } from '@remora/testing/kind-cases';
import { healthCheckAuthoring } from './compile.ts';
import { healthCheckRuntime } from './filter.ts';

testKindCases(import.meta.dirname, healthCheckAuthoring, healthCheckRuntime);
