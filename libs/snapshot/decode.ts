import type { Clock } from '@remora/core/clock';
import { contentHash } from '@remora/core/hash';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { EntryType, type Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { DecodeInput } from './candidate.ts';
import type { PartCache } from './decode-cache.ts';
import { decodeDestination, decodeFleet, decodeInbound, decodeListener } from './decode-places.ts';
import { decodeRoute } from './decode-route.ts';
import { decodeSettings } from './decode-settings.ts';
import type { EffectiveSettings } from './effective-settings.ts';
import { FieldCheck } from './field-check.ts';
import { decodeResource, readManifest, type ManifestEntry } from './read-manifest.ts';
import type { RouteDefinition } from './route-definition.ts';
import { SettingsLookup } from './settings-lookup.ts';
import { SnapshotErrors, type SnapshotError } from './snapshot-error.ts';
import { defaultFleet, type CallDestination, type FleetSettings, type GatewayListener, type InboundPort, type Snapshot } from './snapshot.ts';

/** Largest encoded resource. */
export const resourceBytesMax = 262_144;

const none = new Uint8Array(0);

export type RuntimeKinds = ReadonlyMap<string, RuntimeKind<unknown>>;
export type DecodeResult =
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly errors: readonly SnapshotError[] };

export interface DecodeOptions {
  /** Decoded parts are shared with earlier decodings that used the same cache and kinds. */
  readonly cache?: PartCache;
  /** The bytes were verified against their hashes already, e.g. by the control thread before they reached a worker. */
  readonly hashesVerified?: boolean;
}

/**
 * Turns a candidate into a Snapshot, or says everything that is wrong with it. The same code runs in the control plane
 * before a write is committed, and in the control thread and the workers of a sidecar.
 */
export function decodeSnapshot(candidate: DecodeInput, kinds: RuntimeKinds, options: DecodeOptions = {}): DecodeResult {
  const steps = decodeSteps(candidate, kinds, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same in slices: `pause` is awaited whenever `sliceMs` of work have been done. */
export async function decodeInSlices(
  candidate: DecodeInput,
  kinds: RuntimeKinds,
  options: DecodeOptions & { readonly sliceMs: number; readonly clock: Clock; readonly pause: () => Promise<void> },
): Promise<DecodeResult> {
  const steps = decodeSteps(candidate, kinds, options);
  let sliceEnd = options.clock.monotonicMs() + options.sliceMs;
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (options.clock.monotonicMs() < sliceEnd) continue;
    await options.pause();
    sliceEnd = options.clock.monotonicMs() + options.sliceMs;
  }
}

/** The work as steps of well under a millisecond each. */
export function* decodeSteps(candidate: DecodeInput, kinds: RuntimeKinds, options: DecodeOptions = {}): Generator<void, DecodeResult, void> {
  const errors = new SnapshotErrors();
  if (!options.hashesVerified) yield* verifyResources(candidate, options.cache, errors);
  if (errors.any) return { ok: false, errors: errors.list() };
  const entries = yield* readManifest(candidate, errors);
  if (entries === null || errors.any) return { ok: false, errors: errors.list() };
  const decoding = new Decoding(candidate, kinds, options.cache, errors);
  // Settings first: what refers to them stands before them in the order of entries.
  for (const entry of entries) {
    if (entry.type !== EntryType.ENTRY_TYPE_SETTINGS) continue;
    decoding.settings(entry);
    yield;
  }
  for (const entry of entries) {
    if (entry.type === EntryType.ENTRY_TYPE_SETTINGS) continue;
    decoding.part(entry);
    yield;
  }
  return yield* decoding.finish();
}

function* verifyResources(candidate: DecodeInput, cache: PartCache | undefined, errors: SnapshotErrors): Generator<void, void, void> {
  for (const hash of candidate.resources.keys()) {
    const bytes = candidate.resources.get(hash) ?? none;
    const fail = (code: string, message: string): void =>
      errors.add({ resource: `resource ${hash.slice(0, 12)}`, kind: '', pointer: '', code, message, policies: [] });
    if (bytes.length > resourceBytesMax) fail('too-large', `has ${bytes.length} bytes, at most ${resourceBytesMax} are accepted`);
    else if (cache?.get(hash)?.bytes !== bytes && contentHash(bytes) !== hash) fail('hash-mismatch', 'the bytes are not what the hash says');
    yield;
  }
}

/** One decoding: collects the parts of the snapshot, and puts them into the cache when all is well. */
class Decoding {
  readonly #candidate: DecodeInput;
  readonly #kinds: RuntimeKinds;
  readonly #cache: PartCache | undefined;
  readonly #errors: SnapshotErrors;
  readonly #lookup = new SettingsLookup();
  readonly #fresh: { readonly hash: string; readonly type: EntryType; readonly value: object }[] = [];
  #fleet: FleetSettings = defaultFleet;
  readonly #inbounds = new Map<string, InboundPort>();
  readonly #listeners = new Map<string, GatewayListener>();
  readonly #destinations = new Map<string, CallDestination>();
  readonly #routes: RouteDefinition[] = [];

  constructor(candidate: DecodeInput, kinds: RuntimeKinds, cache: PartCache | undefined, errors: SnapshotErrors) {
    this.#candidate = candidate;
    this.#kinds = kinds;
    this.#cache = cache;
    this.#errors = errors;
  }

  settings(entry: ManifestEntry): void {
    const cached = this.#cached(entry);
    if (cached) return this.#lookup.put(entry.hash, cached as EffectiveSettings);
    const body = this.#body(entry);
    if (!body) return;
    const check = new FieldCheck(this.#errors, entry.label);
    if (body.$case !== 'settings') return check.fail('', 'wrong-type', `is listed as settings and is a ${body.$case}`);
    const result = decodeSettings(body.value, entry.hash, this.#kinds);
    if (!result.ok) return this.#lookup.putWrong(entry.hash, result.errors);
    this.#lookup.put(entry.hash, result.settings);
    this.#fresh.push({ hash: entry.hash, type: entry.type, value: result.settings });
  }

  part(entry: ManifestEntry): void {
    const cached = this.#cached(entry);
    const decoded = cached ? keyed(entry.type, cached) : this.#decodePart(entry);
    if (!decoded) return;
    if (decoded.name !== entry.name) {
      new FieldCheck(this.#errors, entry.label).fail('', 'name-mismatch', `is listed as ${entry.name} and is ${decoded.name}`);
      return;
    }
    if (!cached) this.#fresh.push({ hash: entry.hash, type: entry.type, value: decoded.value });
    this.#keep(decoded);
  }

  *finish(): Generator<void, DecodeResult, void> {
    this.#lookup.reportTo(this.#errors);
    if (this.#errors.any) return { ok: false, errors: this.#errors.list() };
    if (this.#cache) yield* this.#remember(this.#cache);
    const { subject, version, hash } = this.#candidate;
    const snapshot: Snapshot = Object.freeze({
      subject,
      version,
      hash,
      fleet: this.#fleet,
      inbounds: this.#inbounds,
      listeners: this.#listeners,
      destinations: this.#destinations,
      routes: Object.freeze(this.#routes),
      settings: this.#lookup.all(),
    });
    return { ok: true, snapshot };
  }

  *#remember(cache: PartCache): Generator<void, void, void> {
    let sinceYield = 0;
    for (const { hash, type, value } of this.#fresh) {
      const bytes = this.#candidate.resources.get(hash);
      if (bytes) cache.put(hash, { bytes, type, value });
      if (++sinceYield < 256) continue;
      sinceYield = 0;
      yield;
    }
  }

  #cached(entry: ManifestEntry): object | null {
    const part = this.#cache?.get(entry.hash);
    return part?.type === entry.type ? part.value : null;
  }

  #body(entry: ManifestEntry): Exclude<Resource['body'], undefined> | null {
    const bytes = this.#candidate.resources.get(entry.hash);
    const body = bytes && decodeResource(bytes)?.body;
    if (body) return body;
    new FieldCheck(this.#errors, entry.label).fail('', 'undecodable', 'the bytes cannot be read');
    return null;
  }

  #decodePart(entry: ManifestEntry): Part | null {
    const body = this.#body(entry);
    if (!body) return null;
    const check = new FieldCheck(this.#errors, entry.label);
    if (typeOf(body.$case) !== entry.type) {
      check.fail('', 'wrong-type', `is a ${body.$case}`);
      return null;
    }
    switch (body.$case) {
      case 'fleet':
        return { type: 'fleet', name: 'mesh', value: decodeFleet(body.value, entry.hash, check) };
      case 'inbound':
        return { type: 'inbound', name: body.value.portName, value: decodeInbound(body.value, entry.hash, check, this.#lookup) };
      case 'listener':
        return { type: 'listener', name: body.value.name, value: decodeListener(body.value, entry.hash, check, this.#lookup) };
      case 'destination':
        return { type: 'destination', name: body.value.service, value: decodeDestination(body.value, entry.hash, check, this.#lookup) };
      case 'route': {
        const value = decodeRoute(body.value, entry.hash, check, this.#lookup);
        return { type: 'route', name: value.id, value };
      }
      case 'page':
      case 'settings':
        return null;
    }
  }

  #keep(part: Part): void {
    switch (part.type) {
      case 'fleet':
        this.#fleet = part.value;
        break;
      case 'inbound':
        this.#inbounds.set(part.name, part.value);
        break;
      case 'listener':
        this.#listeners.set(part.name, part.value);
        break;
      case 'destination':
        this.#destinations.set(part.name, part.value);
        break;
      case 'route':
        this.#routes.push(part.value);
        break;
    }
  }
}

type Part =
  | { readonly type: 'fleet'; readonly name: string; readonly value: FleetSettings }
  | { readonly type: 'inbound'; readonly name: string; readonly value: InboundPort }
  | { readonly type: 'listener'; readonly name: string; readonly value: GatewayListener }
  | { readonly type: 'destination'; readonly name: string; readonly value: CallDestination }
  | { readonly type: 'route'; readonly name: string; readonly value: RouteDefinition };

function keyed(type: EntryType, value: object): Part | null {
  if (type === EntryType.ENTRY_TYPE_FLEET) return { type: 'fleet', name: 'mesh', value: value as FleetSettings };
  if (type === EntryType.ENTRY_TYPE_INBOUND) return { type: 'inbound', name: (value as InboundPort).name, value: value as InboundPort };
  if (type === EntryType.ENTRY_TYPE_LISTENER) return { type: 'listener', name: (value as GatewayListener).name, value: value as GatewayListener };
  if (type === EntryType.ENTRY_TYPE_DESTINATION) return { type: 'destination', name: (value as CallDestination).service, value: value as CallDestination };
  return { type: 'route', name: (value as RouteDefinition).id, value: value as RouteDefinition };
}

const entryTypes: ReadonlyMap<string, EntryType> = new Map([
  ['fleet', EntryType.ENTRY_TYPE_FLEET],
  ['inbound', EntryType.ENTRY_TYPE_INBOUND],
  ['listener', EntryType.ENTRY_TYPE_LISTENER],
  ['destination', EntryType.ENTRY_TYPE_DESTINATION],
  ['route', EntryType.ENTRY_TYPE_ROUTE],
]);

function typeOf(body: string): EntryType {
  return entryTypes.get(body) ?? EntryType.ENTRY_TYPE_UNSPECIFIED;
}
