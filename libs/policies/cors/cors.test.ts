import { testKindCases } from '@remora/testing/kind-cases';
import { corsAuthoring } from './compile.ts';
import { corsRuntime } from './filter.ts';

testKindCases(import.meta.dirname, corsAuthoring, corsRuntime);
