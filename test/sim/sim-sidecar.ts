import type { Version } from '@remora/core/version';
import type { Subject } from '@remora/core/subject';
import { ConfigClient } from '@remora/sidecar/config/config-client';
import { SimDataPlane } from './sim-data-plane.ts';
import { runtimeKinds } from '@remora/sidecar/kinds';
import { contentHash } from '@remora/core/hash';
import { buildIdentity } from '@remora/snapshot/build';
import type { HeldItems } from './item-invariants.ts';
import { itemKinds } from './sim-items.ts';
import { hostOrdersKind } from '@remora/policy-kit/host-orders';
import type { CallInvariants } from './call-invariants.ts';
import { SimCalls } from './sim-calls.ts';
import type { SimHosts } from './sim-hosts.ts';
import { SimObedience } from './sim-obedience.ts';
import { SkewedClock } from './sim-orders.ts';
import { SimDisk } from './sim-disk.ts';
import { decodedSet } from './seen-set.ts';
import type { SeenSet } from './source-invariants.ts';
import type { SimNetwork } from './sim-network.ts';
import type { VirtualWorld } from './virtual-world.ts';

export interface Enforced {
  readonly node: string;
  readonly hash: string;
  readonly version: Version;
  readonly incarnation: number;
}

export interface SimSidecarOptions {
  readonly node: string;
  readonly subject: Subject;
  readonly without: string | null;
  /** How far its wall clock is ahead of the control plane's. */
  readonly aheadMs: number;
  readonly world: VirtualWorld;
  readonly network: SimNetwork;
  readonly health: SimHosts;
  readonly callInvariants: CallInvariants;
  readonly onEnforced: (enforced: Enforced) => void;
  readonly onItems: (held: HeldItems) => void;
  /** Endpoints are given to its data threads. `version`: of the state lane, before them. */
  readonly onEndpoints: (node: { readonly node: string; readonly incarnation: number; readonly version: Version }, update: { readonly full: boolean; readonly sets: readonly Uint8Array[] }) => void;
  /** After a start: what the disk had, and what is held now, by `kind/name`. */
  readonly onRestored: (node: string, stored: ReadonlyMap<string, Uint8Array>, held: ReadonlyMap<string, Uint8Array>) => void;
}

/** One sidecar: its control thread is the real one, its data plane records, its disk and network are simulated. */
export class SimSidecar {
  readonly node: string;
  readonly subject: Subject;
  readonly disk: SimDisk;
  /** A kind this build does not know: it refuses snapshots that use it. */
  readonly without: string | null;
  #incarnation = 0;
  #running: { readonly client: ConfigClient; readonly dataPlane: SimDataPlane; readonly obedience: SimObedience; readonly calls: SimCalls } | null = null;
  readonly #world: VirtualWorld;
  readonly #network: SimNetwork;
  readonly #options: SimSidecarOptions;

  constructor(options: SimSidecarOptions) {
    this.node = options.node;
    this.subject = options.subject;
    this.without = options.without;
    this.#world = options.world;
    this.#network = options.network;
    this.#options = options;
    this.disk = new SimDisk(options.world);
  }

  get up(): boolean {
    return this.#running !== null;
  }

  /** What serves: null before the first snapshot. */
  get enforcing(): { readonly hash: string; readonly version: Version } | null {
    const current = this.#running?.dataPlane.current;
    return current ? { hash: current.candidate.hash, version: current.version } : null;
  }

  /** Hashes of the items that its data threads have, by `kind/name`. */
  get holding(): ReadonlyMap<string, string> {
    return new Map([...factsOf(this.#running?.dataPlane)].map(([key, body]) => [key, contentHash(body)]));
  }

  /** The instances of a service that its data threads were told of; null: none ever. */
  endpoints(service: string): SeenSet | null {
    const bytes = this.#running?.client.endpointSets.get(service);
    return bytes ? decodedSet(bytes).seen : null;
  }

  /** null: it does not run. */
  get obedience(): SimObedience | null {
    return this.#running?.obedience ?? null;
  }

  /** null: it does not run. */
  get calls(): SimCalls | null {
    return this.#running?.calls ?? null;
  }

  async start(): Promise<void> {
    const incarnation = ++this.#incarnation;
    const dataPlane = new SimDataPlane();
    const alive = (): boolean => this.#running?.dataPlane === dataPlane;
    dataPlane.onPrepare = async () => {
      await this.#pause(5);
      return { ok: true, buildMs: 1 };
    };
    dataPlane.onSwap = () => this.#pause(2);
    const kinds = new Map([...runtimeKinds].filter(([name]) => name !== this.without));
    const clock = new SkewedClock(this.#world, this.#options.aheadMs);
    const obedience = new SimObedience(clock, dataPlane.facts);
    const calls = new SimCalls({ world: this.#world, clock, node: this.node, health: this.#options.health, invariants: this.#options.callInvariants, alive });
    const client = new ConfigClient({
      instance: {
        nodeId: this.node, incarnation: BigInt(incarnation), subject: this.subject, labels: {}, locality: '', protocols: ['http/1.1'],
        advertised: () => this.subject.kind === 'service' ? [{ name: 'http', host: '127.0.0.1', port: 15006 }] : [], appReady: () => true,
      },
      build: buildIdentity('0.1.0', kinds.values()),
      kinds, dataPlane, disk: this.disk.mount(alive), addresses: ['control-plane:8601'],
      clock, timers: this.#world, random: this.#world.random,
      processFacts: { rssBytes: () => 0, takeCpuShare: () => 0 }, pause: () => Promise.resolve(),
      onControlPlaneTime: (aheadMs) => obedience.keeper.useTime(aheadMs),
      onApplied: ({ candidate, version }) => {
        if (alive()) this.#options.onEnforced({ node: this.node, hash: candidate.hash, version, incarnation });
      },
    });
    this.#running = { client, dataPlane, obedience, calls };
    dataPlane.onEndpoints = (update) => {
      if (!alive()) return;
      calls.endpoints(update);
      this.#options.onEndpoints({ node: this.node, incarnation, version: client.status.state.version }, update);
    };
    client.onItem(hostOrdersKind, (orders) => obedience.keeper.use(orders));
    for (const kind of itemKinds) {
      client.onItem(kind, (items) => {
        const facts = new Map([...dataPlane.facts.of(kind).names()].map((name) => [name, dataPlane.facts.of(kind).get(name) ?? Buffer.alloc(0)]));
        if (alive()) this.#options.onItems({ node: this.node, incarnation, subject: this.subject, kind, items, facts, version: client.status.state.version });
      });
    }
    const stored = this.disk.items;
    await client.restore();
    if (alive()) this.#options.onRestored(this.node, new Map([...stored].filter(([key]) => ofKnownKind(key))), factsOf(dataPlane));
    if (alive()) client.connect(this.#network.connector(this.node));
  }

  /** As by kill -9. */
  crash(): void {
    this.#running?.client.abandon();
    this.#running = null;
  }

  #pause(belowMs: number): Promise<void> {
    return new Promise((resolve) => { this.#world.after(this.#world.upTo(belowMs), resolve); });
  }
}

function factsOf(dataPlane: SimDataPlane | undefined): ReadonlyMap<string, Uint8Array> {
  const updates = (dataPlane?.facts.all() ?? []).flatMap(({ kind, facts }) => [...facts].map(([name, body]) => [`${kind}/${name}`, body ?? Buffer.alloc(0)] as const));
  return new Map(updates.filter(([key]) => ofKnownKind(key)));
}

function ofKnownKind(key: string): boolean {
  return itemKinds.some((kind) => key.startsWith(`${kind}/`));
}
