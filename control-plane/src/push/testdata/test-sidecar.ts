import { contentHash } from '@remora/core/hash';
import type { Subject } from '@remora/core/subject';
import { Lane, type Ack, type Begin, type ControlMessage, type Hello, type Nack, type NackClass, type NackError, type SidecarMessage, type State, type Unchanged } from '@remora/proto/gen/remora/push/v1/push';
import { Manifest, Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { StreamError } from '../sidecar-stream.ts';

type WireVersion = { epoch: bigint; index: bigint };

/** How a test sidecar answers updates; default: everything is ACKed at once. */
export type Verdict = 'ack' | 'silent' | { readonly nack: NackClass; readonly errors?: readonly Partial<NackError>[] };

export interface TestSidecarOptions {
  readonly nodeId: string;
  readonly subject: Subject;
  readonly incarnation?: number;
  readonly build?: string;
  readonly hello?: Partial<Hello>;
}

/**
 * The sidecar's half of the protocol as the comments of push.proto have it, without a data plane: verifies every hash and
 * that the manifest is complete, keeps what it applied over connections, and records what it was sent.
 */
export class TestSidecar {
  readonly nodeId: string;
  incarnation: bigint;
  readonly subject: Subject;
  readonly build: string;
  readonly log: string[] = [];
  readonly begins: Begin[] = [];
  readonly states: State[] = [];
  /** Asked with `config` or `state` and the hash. */
  answer: (lane: 'config' | 'state', hash: string) => Verdict = () => 'ack';
  config: { version: WireVersion; hash: string } | null = null;
  state: { version: WireVersion; hash: string } | null = null;
  /** Resources in force, by hash. */
  resources = new Map<string, Uint8Array>();
  readonly endpoints = new Map<string, readonly string[]>();
  /** Bodies of items as text, by `kind/name`. */
  readonly items = new Map<string, string>();
  ended: StreamError | null | undefined;
  bytes = 0;
  readonly violations: string[] = [];
  leaving = false;
  appReady = true;
  readonly #overrides: Partial<Hello>;
  #send: (message: SidecarMessage) => void = () => {};
  #incoming: { begin: Begin; resources: Map<string, Uint8Array> } | null = null;

  constructor(options: TestSidecarOptions) {
    this.nodeId = options.nodeId;
    this.subject = options.subject;
    this.incarnation = BigInt(options.incarnation ?? 1);
    this.build = options.build ?? 'build-1';
    this.#overrides = options.hello ?? {};
  }

  /** A new stream: sends Hello. */
  open(send: (message: SidecarMessage) => void): void {
    this.#send = send;
    this.#incoming = null;
    this.ended = undefined;
    send({ body: { $case: 'hello', value: this.hello() } });
  }

  hello(): Hello {
    return {
      nodeId: this.nodeId, incarnation: this.incarnation, subjectKind: this.subject.kind, subjectName: this.subject.name,
      advertised: this.subject.kind === 'service' ? [{ name: 'http', host: '10.0.0.1', port: 80, protocols: [] }] : [],
      labels: [], locality: 'zone-a', build: { version: '0.1.0', format: 1, kinds: [{ kind: 'retry', format: 1 }], id: Buffer.from(contentHash(this.build), 'hex') },
      config: this.config ? { version: this.config.version, hash: Buffer.from(this.config.hash, 'hex'), persisted: true } : undefined,
      state: this.state ? { version: this.state.version, hash: Buffer.from(this.state.hash, 'hex'), persisted: true } : undefined,
      refusedHashes: [], protocols: ['http/1.1'], appReady: this.appReady, mtls: false, staleSinceMs: 0n, leaving: this.leaving, ...this.#overrides,
    };
  }

  heartbeat(): void {
    this.#send({
      body: {
        $case: 'heartbeat',
        value: {
          config: this.hello().config, state: this.hello().state, clockMs: 0n, rssBytes: 1n, cpuShare: 0, appReady: this.appReady, appProblem: '', staleSinceMs: 0n, stallMs: 0,
          keyAgeSeconds: {}, warming: [],
        },
      },
    });
  }

  send(body: SidecarMessage['body']): void {
    this.#send({ body });
  }

  receive({ body }: ControlMessage): void {
    switch (body?.$case) {
      case 'begin':
        this.log.push(body.value.fallback ? 'begin-fallback' : 'begin');
        this.begins.push(body.value);
        this.#begin(body.value);
        return;
      case 'resource':
        this.#incoming?.resources.set(body.value.hash.toString('hex'), body.value.bytes);
        if (contentHash(body.value.bytes) !== body.value.hash.toString('hex')) this.violations.push('a resource is not what its hash says');
        return;
      case 'update':
        if (body.value.begin) this.receive({ body: { $case: 'begin', value: body.value.begin } });
        for (const resource of body.value.resources) this.receive({ body: { $case: 'resource', value: resource } });
        if (body.value.commit) this.receive({ body: { $case: 'commit', value: body.value.commit } });
        return;
      case 'commit': return this.#commit(body.value.version);
      case 'unchanged': return this.#unchanged(body.value);
      case 'state': return this.#state(body.value);
      case 'shed':
      case 'rejected':
        this.log.push(`${body.$case} ${'code' in body.value ? body.value.code : body.value.reason}`);
        return;
      case 'safeToStop':
        this.log.push(`safe-to-stop ${body.value.stragglers.join()}`);
        return;
      case 'heartbeat':
      case undefined:
    }
  }

  /** Names of the listeners in force, sorted. */
  enforced(): string[] {
    const names: string[] = [];
    for (const bytes of this.resources.values()) {
      const { body } = Resource.decode(bytes);
      if (body?.$case === 'listener') names.push(body.value.name);
    }
    return names.sort();
  }

  #begin(begin: Begin): void {
    if (begin.base.length > 0 && begin.base.toString('hex') !== (this.config?.hash ?? '')) this.violations.push('a delta has a base that is not in force');
    if (this.config && !begin.fallback && compare(begin.version, this.config.version) < 0) this.violations.push('a version went back');
    if (contentHash(begin.manifest) !== begin.hash.toString('hex')) this.violations.push('the manifest is not what its hash says');
    this.#incoming = { begin, resources: new Map(begin.base.length > 0 ? this.resources : []) };
  }

  #commit(version: WireVersion = { epoch: 0n, index: 0n }): void {
    const incoming = this.#incoming;
    if (!incoming || compare(incoming.begin.version, version) !== 0) return void this.violations.push('a Commit without its Begin');
    this.log.push('commit');
    const { reached, missing } = reach(incoming.begin.manifest, incoming.resources);
    if (missing.length > 0) {
      this.log.push(`need ${missing.length}`);
      return this.send({ $case: 'needHashes', value: { version, hashes: missing.map((hash) => Buffer.from(hash, 'hex')) } });
    }
    this.#incoming = null;
    const hash = incoming.begin.hash.toString('hex');
    this.#reply('config', version, hash, () => {
      this.config = { version, hash };
      this.resources = reached;
    });
  }

  #unchanged({ lane, version = { epoch: 0n, index: 0n }, hash }: Unchanged): void {
    const name = lane === Lane.LANE_STATE ? 'state' : 'config';
    this.log.push(`unchanged-${name}`);
    const applied = this[name];
    if (applied?.hash !== hash.toString('hex')) this.violations.push(`${name} is said to be unchanged and is not`);
    if (applied && compare(version, applied.version) < 0) this.violations.push('a version went back');
    this.#reply(name, version, hash.toString('hex'), () => void (this[name] = { version, hash: hash.toString('hex') }));
  }

  #state(state: State): void {
    this.log.push(state.full ? 'state-full' : 'state');
    this.states.push(state);
    const version = state.version ?? { epoch: 0n, index: 0n };
    if (this.state && compare(version, this.state.version) < 0) this.violations.push('a state version went back');
    this.#reply('state', version, state.hash.toString('hex'), () => {
      this.state = { version, hash: state.hash.toString('hex') };
      const named = new Set([...state.sets.map(({ service }) => service), ...state.hold]);
      if (state.full) for (const service of this.endpoints.keys()) if (!named.has(service)) this.endpoints.delete(service);
      for (const service of state.removed) this.endpoints.delete(service);
      this.#takeItems(state);
      for (const { service, endpoints } of state.sets) this.endpoints.set(service, endpoints.map(({ id, draining, suspect }) => `${id}${draining ? '~' : ''}${suspect ? '?' : ''}`));
    });
  }

  #takeItems({ fullItems, items, removedItems, holdItems }: State): void {
    const named = new Set([...holdItems, ...items.map(({ kind, name }) => `${kind}/${name}`)]);
    if (fullItems) for (const key of this.items.keys()) if (!named.has(key) && !named.has(key.slice(0, key.indexOf('/') + 1))) this.items.delete(key);
    for (const key of removedItems) this.items.delete(key);
    for (const { kind, name, body } of items) this.items.set(`${kind}/${name}`, body.toString());
  }

  #reply(lane: 'config' | 'state', version: WireVersion, hash: string, apply: () => void): void {
    const verdict = this.answer(lane, hash);
    const common = { lane: lane === 'state' ? Lane.LANE_STATE : Lane.LANE_CONFIG, version, hash: Buffer.from(hash, 'hex') };
    if (verdict === 'silent') return;
    if (verdict === 'ack') {
      apply();
      this.send({ $case: 'ack', value: { ...common, persisted: true, warming: [] } satisfies Ack });
      return;
    }
    const errors = (verdict.errors ?? []).map((error) => ({ resource: '', kind: '', pointer: '', code: '', message: '', policies: [], ...error }));
    this.send({ $case: 'nack', value: { ...common, nackClass: verdict.nack, errors } satisfies Nack });
  }
}

function compare(a: WireVersion | undefined, b: WireVersion | undefined): number {
  if (!a || !b) return a ? 1 : b ? -1 : 0;
  return Number(a.epoch - b.epoch) || Number(a.index - b.index);
}

/** Exactly what a manifest reaches, and what of it is missing. */
function reach(manifest: Uint8Array, resources: ReadonlyMap<string, Uint8Array>): { reached: Map<string, Uint8Array>; missing: string[] } {
  const reached = new Map<string, Uint8Array>();
  const missing: string[] = [];
  const take = (hash: string): Uint8Array | undefined => {
    const bytes = resources.get(hash);
    if (bytes) reached.set(hash, bytes);
    else missing.push(hash);
    return bytes;
  };
  for (const page of Manifest.decode(manifest).pages) {
    const bytes = take(page.toString('hex'));
    const body = bytes && Resource.decode(bytes).body;
    if (body?.$case === 'page') for (const entry of body.value.entries) take(entry.hash.toString('hex'));
  }
  return { reached, missing };
}
