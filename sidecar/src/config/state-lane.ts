import { compareVersions, formatVersion, noVersion, type Version } from '@remora/core/version';
import { EndpointSet as WireSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { ControlMessage, SidecarMessage, State, Unchanged } from '@remora/proto/gen/remora/push/v1/push';
import { checkEndpointSet } from '@remora/snapshot/decode-endpoints';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import type { DataPlane } from '../threads/data-plane.ts';
import { problem } from './config-applier.ts';
import type { StoredEndpoints } from './snapshot-disk.ts';
import { fromWireVersion, lanes, nackClasses, toWireHash, toWireVersion, type NackClass } from './wire-codes.ts';

export interface StateLaneOptions {
  readonly dataPlane: DataPlane;
  readonly send: (message: SidecarMessage) => void;
  /** What is applied changed: to be written, coalesced. */
  readonly onApplied: (endpoints: StoredEndpoints) => void;
  readonly persisted: () => boolean;
}

export const servicesMax = 16_384;

/**
 * The state lane: endpoint sets, applied as they come and never held up by a refused config. A service without a set
 * keeps what it has; an explicit empty set means that there are no instances.
 */
export class StateLane {
  readonly #options: StateLaneOptions;
  readonly #sets = new Map<string, Uint8Array>();
  #version: Version = noVersion;
  #hash = '';
  #streamVersion: Version = noVersion;
  #stream = 0;
  /** States in the order of the stream; at most one is without an answer, so at most two wait here. */
  #tail: Promise<void> = Promise.resolve();
  #queued = 0;

  constructor(options: StateLaneOptions) {
    this.#options = options;
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

  restart(): void {
    this.#stream++;
    this.#streamVersion = noVersion;
  }

  /** From disk, at the start. Sets that cannot be read are left out: hold what is known. */
  async restore(stored: StoredEndpoints): Promise<void> {
    for (const [service, bytes] of stored.sets) this.#sets.set(service, bytes);
    await this.#options.dataPlane.applyEndpoints({ full: true, sets: [...this.#sets.values()], removed: [] });
    this.#version = stored.version;
    this.#hash = stored.hash;
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
    const sets = new Map(state.sets.map((set): [string, Uint8Array] => [set.service, WireSet.encode(set).finish()]));
    const removed = this.#removedBy(state);
    try {
      await this.#options.dataPlane.applyEndpoints({ full: false, sets: [...sets.values()], removed });
    } catch (error) {
      return this.#nack(version, hash, 'transient', [problem('apply-failed', error instanceof Error ? error.message : String(error))]);
    }
    for (const service of removed) this.#sets.delete(service);
    for (const [service, bytes] of sets) this.#sets.set(service, bytes);
    this.#version = version;
    this.#hash = hash;
    this.#options.onApplied({ version, hash, sets: new Map(this.#sets) });
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
    return errors.slice(0, 100);
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

const queuedMax = 16;
