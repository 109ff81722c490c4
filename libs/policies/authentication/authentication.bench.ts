import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { authenticationAuthoring } from './compile.ts';
import { authenticationRuntime } from './filter.ts';

/** A caller of the mesh, where its certificate or a token is asked for. */
export function bench(): KindCost {
  return measureEdge(authenticationAuthoring, authenticationRuntime, { require: { any: ['mesh', 'jwt'] } }, {
    request: { method: 'GET', authority: 'orders', target: '/orders/1' }, connection: { principal: 'spiffe://mesh.local/service/web' },
  });
}
