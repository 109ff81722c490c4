import { buildEntryMatch } from '@remora/policy-kit/entry-match';
import { InstanceShare, instancesFactKind } from '@remora/policy-kit/instance-share';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { CellTable } from './cell-table.ts';
import { FleetCounts, fleetStride } from './fleet-counts.ts';
import { FleetLimit } from './fleet-limit.ts';
import { createKeyReader } from './key-reader.ts';
import { ownerOf } from './limit.ts';
import type { LimitSettings } from './wire.ts';

/**
 * A named limit of a section that the fleet counts together. What makes it the same limit for all sidecars is where it is, its name, and how it counts; not
 * how much: while a new number reaches one sidecar after the other, they go on with one count.
 */
export function createFleetLimit(settings: LimitSettings, context: FilterContext): FleetLimit {
  const { name, algorithm, perMs, key, keyRule, match, maxKeys } = settings;
  const pointer = `/limits/${name}`;
  const owner = ownerOf(settings, context);
  const memory = context.shared?.(...owner, CellTable.bytesFor(maxKeys, fleetStride)) ?? null;
  const counts = context.live.keep(...owner, () => new FleetCounts(settings, context, memory));
  const place = `${context.shadow ? 'shadow/' : ''}${context.scope.slice(0, context.scope.lastIndexOf('/'))}`;
  return new FleetLimit({
    settings, pointer, counts,
    storeName: `${place}/${name}`,
    storeIdentity: JSON.stringify([place, name, algorithm, perMs, key, keyRule, match]),
    applies: buildEntryMatch(match, context),
    readKey: createKeyReader(key, settings.keyRule, `${pointer}/key`),
    instances: new InstanceShare(context.facts(instancesFactKind)),
  });
}
