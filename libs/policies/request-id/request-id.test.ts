import { testKindCases } from '@remora/testing/kind-cases';
import { requestIdAuthoring } from './compile.ts';
import { requestIdRuntime } from './filter.ts';

testKindCases(import.meta.dirname, requestIdAuthoring, requestIdRuntime);
