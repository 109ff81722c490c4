import type { DeepPartial, Section } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { authoringKinds } from '@remora/control-plane/kinds';

/** The sections of kinds that are always on, with their defaults: what a place has that no policy names. */
export async function defaultSections(side: 'provider' | 'caller'): Promise<DeepPartial<Section>[]> {
  return [...authoringKinds.values()]
    .filter((kind) => kind.side === side && kind.always)
    .map((kind) => ({ kind: kind.name, ...kind.compile(kind.defaults) }))
    .map(({ kind, minFormat, body }) => ({ kind, minFormat, body: Buffer.from(body) }))
    .sort((a, b) => (a.kind < b.kind ? -1 : 1));
}
