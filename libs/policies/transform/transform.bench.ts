import { measureEdge, type KindCost } from '@remora/testing/kind-bench';
import { transformAuthoring } from './compile.ts';
import { transformRuntime } from './filter.ts';

/** Three edits of the request, one with a variable, and two of the response. */
export function bench(): KindCost {
  return measureEdge(transformAuthoring, transformRuntime, {
    request: { headers: { remove: { 'x-debug': true }, set: { 'x-gateway': 'remora' }, add: { 'x-client': '${client.address}' } } },
    response: { headers: { remove: { server: true }, set: { 'x-served-by': 'remora' } } },
  });
}
