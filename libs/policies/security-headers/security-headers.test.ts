import { testKindCases } from '@remora/testing/kind-cases';
import { securityHeadersAuthoring } from './compile.ts';
import { securityHeadersRuntime } from './filter.ts';

testKindCases(import.meta.dirname, securityHeadersAuthoring, securityHeadersRuntime);
