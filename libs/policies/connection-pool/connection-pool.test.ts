import { testKindCases } from '@remora/testing/kind-cases';
import { connectionPoolAuthoring } from './compile.ts';
import { connectionPoolRuntime } from './filter.ts';

testKindCases(import.meta.dirname, connectionPoolAuthoring, connectionPoolRuntime);
