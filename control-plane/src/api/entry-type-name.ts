import { EntryType } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

const names: ReadonlyMap<EntryType, string> = new Map([
  [EntryType.ENTRY_TYPE_FLEET, 'fleet'],
  [EntryType.ENTRY_TYPE_INBOUND, 'inbound'],
  [EntryType.ENTRY_TYPE_LISTENER, 'listener'],
  [EntryType.ENTRY_TYPE_DESTINATION, 'destination'],
  [EntryType.ENTRY_TYPE_ROUTE, 'route'],
  [EntryType.ENTRY_TYPE_SETTINGS, 'settings'],
]);

/** What a resource of a snapshot is, as people read it. */
export function entryTypeName(type: EntryType): string {
  return names.get(type) ?? 'unknown';
}
