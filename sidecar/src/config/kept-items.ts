import type { StateItem } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import { problem } from './config-applier.ts';

/** What one State changes: bodies by kind and name; null removes. */
export type ItemChanges = ReadonlyMap<string, ReadonlyMap<string, Uint8Array | null>>;

/** What of a State is about items. */
export interface ItemUpdate {
  readonly full: boolean;
  readonly items: readonly StateItem[];
  readonly removed: readonly string[];
  readonly hold: readonly string[];
}

export const itemsMax = 4_096;
export const itemBytesMax = 32 * 1024 * 1024;
export const bodyBytesMax = 256 * 1024;
/** Fact kinds that this sidecar writes itself: an item under such a name is passed over, as one of a kind that is not known here. */
const ownKinds: ReadonlySet<string> = new Set(['identity', 'jwks', 'store']);
const kindPattern = /^[A-Za-z][A-Za-z0-9]{0,63}$/;

/** What is wrong with a body of one kind, in a sentence; null where nothing is. */
export type ItemChecks = ReadonlyMap<string, (name: string, body: Uint8Array) => string | null>;

/** Items of the state lane by kind and name: at most 4,096, 32 MiB together. What would exceed that is refused as a whole. */
export class KeptItems {
  readonly #checks: ItemChecks;
  readonly #kinds = new Map<string, Map<string, Uint8Array>>();
  #bytes = 0;
  #size = 0;

  constructor(checks: ItemChecks = new Map()) {
    this.#checks = checks;
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  kinds(): Iterable<string> {
    return this.#kinds.keys();
  }

  of(kind: string): ReadonlyMap<string, Uint8Array> {
    return this.#kinds.get(kind) ?? none;
  }

  /** By `kind/name`, to be kept on the disk. */
  all(): Map<string, Uint8Array> {
    const all = new Map<string, Uint8Array>();
    for (const [kind, items] of this.#kinds) for (const [name, body] of items) all.set(`${kind}/${name}`, body);
    return all;
  }

  /** What is wrong with an update; nothing where it can be taken. */
  check({ items }: ItemUpdate): readonly SnapshotError[] {
    const errors: SnapshotError[] = [];
    for (const { kind, name, body } of items) {
      const what = `${kind.slice(0, 64)}/${name.slice(0, 253)}`;
      if (!kindPattern.test(kind) || name === '' || name.length > 253 || name.includes('/')) errors.push({ ...problem('bad-name', `an item has the name ${JSON.stringify(what)}`), resource: 'state' });
      else if (body.length > bodyBytesMax) errors.push({ ...problem('too-large', `the item ${what} has ${body.length} bytes, at most ${bodyBytesMax} are taken`), resource: what });
      else {
        const wrong = this.#checks.get(kind)?.(name, body) ?? null;
        if (wrong !== null) errors.push({ ...problem('bad-item', `the item ${what} cannot be used: ${wrong}`), resource: what });
      }
    }
    return errors.slice(0, 32);
  }

  /** What an update changes, or why it cannot be taken: too many, or too large together. */
  changes(update: ItemUpdate): ItemChanges | SnapshotError {
    const changes = new Map<string, Map<string, Uint8Array | null>>();
    const note = (kind: string, name: string, body: Uint8Array | null): void => {
      let names = changes.get(kind);
      if (!names) changes.set(kind, names = new Map());
      names.set(name, body);
    };
    for (const key of this.#removedBy(update)) {
      const slash = key.indexOf('/');
      if (this.of(key.slice(0, slash)).has(key.slice(slash + 1))) note(key.slice(0, slash), key.slice(slash + 1), null);
    }
    for (const { kind, name, body } of update.items) if (!ownKinds.has(kind)) note(kind, name, body);
    return this.#overflow(changes) ?? changes;
  }

  apply(changes: ItemChanges): void {
    for (const [kind, names] of changes) {
      for (const [name, body] of names) this.#put(kind, name, body);
    }
  }

  #removedBy({ full, items, removed, hold }: ItemUpdate): readonly string[] {
    if (!full) return removed;
    const kept = new Set([...hold, ...items.map(({ kind, name }) => `${kind}/${name}`)]);
    return [...this.all().keys()].filter((key) => !kept.has(key) && !kept.has(key.slice(0, key.indexOf('/') + 1)));
  }

  #overflow(changes: ItemChanges): SnapshotError | null {
    let size = this.#size;
    let bytes = this.#bytes;
    for (const [kind, names] of changes) {
      for (const [name, body] of names) {
        const before = this.of(kind).get(name);
        size += (body ? 1 : 0) - (before ? 1 : 0);
        bytes += (body?.length ?? 0) - (before?.length ?? 0);
      }
    }
    if (size <= itemsMax && bytes <= itemBytesMax) return null;
    return { ...problem('too-many', `${size} items of ${bytes} bytes; at most ${itemsMax} of ${itemBytesMax} are kept`), resource: 'state' };
  }

  #put(kind: string, name: string, body: Uint8Array | null): void {
    let items = this.#kinds.get(kind);
    if (!items) this.#kinds.set(kind, items = new Map());
    const before = items.get(name);
    this.#size += (body ? 1 : 0) - (before ? 1 : 0);
    this.#bytes += (body?.length ?? 0) - (before?.length ?? 0);
    if (body) items.set(name, body);
    else items.delete(name);
    if (items.size === 0) this.#kinds.delete(kind);
  }
}

const none: ReadonlyMap<string, Uint8Array> = new Map();
