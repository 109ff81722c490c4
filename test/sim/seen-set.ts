import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { SeenSet } from './source-invariants.ts';

/** An endpoint set with what sources called its instances: `ledger-1` of `consul/ledger-1`. */
export function seenSet({ endpoints }: Pick<EndpointSet, 'endpoints'>): SeenSet {
  return new Map(endpoints.map(({ id, suspect }) => [id.slice(id.indexOf('/') + 1), suspect ? 'suspect' : 'sure']));
}

/** As sidecars keep them. */
export function decodedSet(bytes: Uint8Array): { readonly service: string; readonly seen: SeenSet } {
  const set = EndpointSet.decode(bytes);
  return { service: set.service, seen: seenSet(set) };
}
