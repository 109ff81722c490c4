import { testKindCases } from '@remora/testing/kind-cases';
import { ipAccessAuthoring } from './compile.ts';
import { ipAccessRuntime } from './filter.ts';

testKindCases(import.meta.dirname, ipAccessAuthoring, ipAccessRuntime);
