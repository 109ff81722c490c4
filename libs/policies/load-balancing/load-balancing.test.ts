import { testKindCases } from '@remora/testing/kind-cases';
import { loadBalancingAuthoring } from './compile.ts';
import { loadBalancingRuntime } from './filter.ts';

testKindCases(import.meta.dirname, loadBalancingAuthoring, loadBalancingRuntime);
