import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { securityHeadersAuthoring } from './compile.ts';
import { securityHeadersRuntime } from './filter.ts';

/** The default fields and a CSP. */
export function bench(): KindCost {
  return measureEdge(securityHeadersAuthoring, securityHeadersRuntime, { contentSecurityPolicy: 'default-src none' });
}
