import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { oidcLoginAuthoring } from './compile.ts';
import { oidcLoginRuntime } from './filter.ts';

/** A program without a session: what each request pays before anything is known. */
export function bench(): KindCost {
  return measureEdge(oidcLoginAuthoring, oidcLoginRuntime, { issuer: 'https://login.example', clientId: 'shop', clientSecret: { secret: 'shop-client' }, sessionKey: { secret: 'sessions' } });
}
