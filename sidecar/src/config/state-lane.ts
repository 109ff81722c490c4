import { compareVersions, formatVersion, noVersion, type Version } from '@remora/core/version';
import { EndpointSet as WireSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { ControlMessage, SidecarMessage, State, Unchanged } from '@remora/proto/gen/remora/push/v1/push';
import { checkEndpointSet } from '@remora/snapshot/decode-endpoints';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import type { DataPlane } from '../threads/data-plane.ts';
import { problem } from './config-applier.ts';
import { KeptItems, type ItemChanges, type ItemChecks, type ItemUpdate } from './kept-items.ts';
import type { StoredEndpoints } from './snapshot-disk.ts';
import { fromWireVersion, lanes, nackClasses, toWireHash, toWireVersion, type NackClass } from './wire-codes.ts';

export interface StateLaneOptions {
  readonly dataPlane: DataPlane;
  readonly send: (message: SidecarMessage) => void;
  /** What is applied changed: to be written, coalesced. */
  readonly onApplied: (endpoints: StoredEndpoints) => void;
  readonly persisted: () => boolean;
  readonly itemChecks?: ItemChecks;
}

export const servicesMax = 16_384;

/** Told all items of one kind, by name, after each change. It must not throw; what it does later is its own. */
export type ItemListener = (items: ReadonlyMap<string, Uint8Array>) => void;

/**
 * The state lane: endpoint sets and items, applied as they come and never held up by a refused config. A service without a set
 * keeps what it has; an explicit empty set means that there are no instances. Items become facts of the data threads under the same kind and name.
 */
export class StateLane {
  readonly #options: StateLaneOptions;
  readonly #sets = new Map<string, Uint8Array>();
  readonly #items: KeptItems;
  readonly #listeners = new Map<string, Set<ItemListener>>();
  #version: Version = noVersion;
  #hash = '';
  #streamVersion: Version = noVersion;
  #stream = 0;
  /** States in the order of the stream; at most one is without an answer, so at most two wait here. */
  #tail: Promise<void> = Promise.resolve();
  #queued = 0;

  constructor(options: StateLaneOptions) {
    this.#options = options;
    this.#items = new KeptItems(options.itemChecks);
  }

  get version(): Version {
    return this.#version;
  }

  /** As the control plane names what is applied; '' for nothing. */
  get hash(): string {
    return this.#hash;
  }

  get sets(): ReadonlyMap<string, Uint8Array> {
    return this.#sets;
  }

  get items(): Pick<KeptItems, 'size' | 'bytes' | 'of'> {
    return this.#items;
  }

  /** Resolves when everything that has come until now is in force, or refused. */
  get settled(): Promise<void> {
    return this.#tail;
  }

  /** Told now, where something is known, and after each change, before it is acknowledged. Answers how to stop. */
  onItem(kind: string, listener: ItemListener): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners.add(listener));
    if (this.#items.of(kind).size > 0) listener(this.#items.of(kind));
    return () => void listeners.delete(listener);
  }

  restart(): void {
    this.#stream++;
    this.#streamVersion = noVersion;
  }

  /** From disk, at the start. Sets that cannot be read are left out: hold what is known. */
  async restore(stored: StoredEndpoints): Promise<void> {
    for (const [service, bytes] of stored.sets) this.#sets.set(service, bytes);
    const whole = await this.#restoreItems(stored.items);
    await this.#options.dataPlane.applyEndpoints({ full: true, sets: [...this.#sets.values()], removed: [] });
    this.#version = stored.version;
    this.#hash = whole ? stored.hash : '';
  }

  /** True where the message was of this lane. */
  receive(message: ControlMessage): boolean {
    if (message.body?.$case === 'state') {
      this.#enqueue(message.body.value);
      return true;
    }
    if (message.body?.$case === 'unchanged' && message.body.value.lane === lanes.state) {
      this.#unchanged(message.body.value);
      return true;
    }
    return false;
  }

  #enqueue(state: State): void {
    const stream = this.#stream;
    const version = fromWireVersion(state.version);
    const hash = state.hash.toString('hex');
    if (this.#queued >= queuedMax) return this.#nack(version, hash, 'transient', [problem('too-many', 'more states are sent than are acknowledged')]);
    this.#queued++;
    this.#tail = this.#tail.then(() => this.#apply(state, version, hash, stream)).finally(() => {
      this.#queued--;
    });
  }

  async #apply(state: State, version: Version, hash: string, stream: number): Promise<void> {
    if (stream !== this.#stream) return;
    if (compareVersions(version, this.#streamVersion) < 0) {
      return this.#nack(version, hash, 'transient', [problem('version-went-back', `version ${formatVersion(version)} is older than ${formatVersion(this.#streamVersion)}`)]);
    }
    const errors = this.#check(state);
    if (errors.length > 0) return this.#nack(version, hash, 'invalid', errors);
    const changes = this.#items.changes(itemsOf(state));
    if ('code' in changes) return this.#nack(version, hash, 'invalid', [changes]);
    const sets = new Map(state.sets.map((set): [string, Uint8Array] => [set.service, WireSet.encode(set).finish()]));
    const removed = this.#removedBy(state);
    try {
      await this.#useItems(changes);
      await this.#options.dataPlane.applyEndpoints({ full: false, sets: [...sets.values()], removed });
    } catch (error) {
      // In full, because what was applied of the items stays.
      return this.#nack(version, hash, changes.size > 0 ? 'resync' : 'transient', [problem('apply-failed', error instanceof Error ? error.message : String(error))]);
    }
    for (const service of removed) this.#sets.delete(service);
    for (const [service, bytes] of sets) this.#sets.set(service, bytes);
    this.#version = version;
    this.#hash = hash;
    this.#options.onApplied({ version, hash, sets: new Map(this.#sets), items: this.#items.all() });
    if (stream !== this.#stream) return;
    this.#streamVersion = version;
    this.#ack(version, hash);
  }

  #check(state: State): readonly SnapshotError[] {
    if (this.#sets.size + state.sets.length > servicesMax) return [problem('too-many', `endpoints of more than ${servicesMax} services`)];
    const errors: SnapshotError[] = [];
    for (const set of state.sets) {
      const result = checkEndpointSet(set);
      if (!result.ok) errors.push(...result.errors);
    }
    errors.push(...this.#items.check(itemsOf(state)));
    return errors.slice(0, 100);
  }

  async #useItems(changes: ItemChanges): Promise<void> {
    for (const [kind, facts] of changes) {
      await this.#options.dataPlane.useFacts({ kind, full: false, facts });
      this.#items.apply(new Map([[kind, facts]]));
      for (const listener of this.#listeners.get(kind) ?? []) listener(this.#items.of(kind));
    }
  }

  /** False where they could not be kept today (the bounds were others): the next stream brings everything. */
  async #restoreItems(stored: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
    const items = [...stored].map(([key, body]) => ({ kind: key.slice(0, key.indexOf('/')), name: key.slice(key.indexOf('/') + 1), body: Buffer.from(body) }));
    const update: ItemUpdate = { full: true, items, removed: [], hold: [] };
    const changes = this.#items.check(update).length === 0 ? this.#items.changes(update) : null;
    if (!changes || 'code' in changes) return false;
    await this.#useItems(changes);
    return true;
  }

  /** A full state drops what it neither brings nor holds. */
  #removedBy(state: State): string[] {
    if (!state.full) return state.removed.filter((service) => this.#sets.has(service));
    const kept = new Set([...state.hold, ...state.sets.map(({ service }) => service)]);
    return [...this.#sets.keys()].filter((service) => !kept.has(service));
  }

  #unchanged(unchanged: Unchanged): void {
    const version = fromWireVersion(unchanged.version);
    const hash = unchanged.hash.toString('hex');
    if (hash !== this.#hash || this.#queued > 0) {
      return this.#nack(version, hash, 'resync', [problem('not-applied', `${hash.slice(0, 12)} is not what is applied`)]);
    }
    this.#version = version;
    this.#streamVersion = version;
    this.#ack(version, hash);
  }

  #ack(version: Version, hash: string): void {
    const value = { lane: lanes.state, version: toWireVersion(version), hash: toWireHash(hash), persisted: this.#options.persisted(), warming: [] };
    this.#options.send({ body: { $case: 'ack', value } });
  }

  #nack(version: Version, hash: string, nackClass: NackClass, errors: readonly SnapshotError[]): void {
    const value = {
      lane: lanes.state, version: toWireVersion(version), hash: toWireHash(hash), nackClass: nackClasses[nackClass],
      errors: errors.map((error) => ({ ...error, policies: [...error.policies] })),
    };
    this.#options.send({ body: { $case: 'nack', value } });
  }
}

function itemsOf({ fullItems, items, removedItems, holdItems }: State): ItemUpdate {
  return { full: fullItems, items, removed: removedItems, hold: holdItems };
}

const queuedMax = 16;
