import type { Timer, Timers } from '@remora/core/clock';
import type { SubjectKey } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import { createControlPlane, type ControlPlane } from '@remora/control-plane/app';
import { createMemoryStore } from '@remora/control-plane/store/memory-store';
import type { Store } from '@remora/control-plane/store/store';
import { WriteError } from '@remora/control-plane/write/write-error';
import { loadDocuments } from '@remora/model/load-documents';
import { Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { SimCanaries } from './sim-canaries.ts';
import type { SimItems } from './sim-items.ts';
import type { SimOrders } from './sim-orders.ts';
import type { SimNetwork } from './sim-network.ts';
import { isFound, type SimSources } from './sim-sources.ts';
import type { SourceInvariants } from './source-invariants.ts';
import { seenSet } from './seen-set.ts';
import type { VirtualWorld } from './virtual-world.ts';

interface SimControlPlaneParts {
  readonly world: VirtualWorld;
  readonly network: SimNetwork;
  readonly items: SimItems;
  readonly orders: SimOrders;
  readonly canaries: SimCanaries;
  readonly sources: SimSources;
  readonly sourceInvariants: SourceInvariants;
  readonly onCommitted: OnCommitted;
}

type OnCommitted = (version: Version, manifests: ReadonlyMap<SubjectKey, string>) => void;

/**
 * The control plane as the process composes it, over a memory store that outlives its crashes. A crash leaves every promise
 * of that run hanging and stops its timers, as kill -9 does.
 */
export class SimControlPlane {
  readonly #world: VirtualWorld;
  readonly #network: SimNetwork;
  readonly #items: SimItems;
  readonly #orders: SimOrders;
  readonly #canaries: SimCanaries;
  readonly #sources: SimSources;
  readonly #sourceInvariants: SourceInvariants;
  readonly #onCommitted: OnCommitted;
  readonly #store: Store;
  #running: ControlPlane | null = null;
  /** The next entry becomes durable, and the process dies before anybody is told. */
  crashOnNextCommit = false;
  lastRefusal = '';

  constructor({ world, network, items, orders, canaries, sources, sourceInvariants, onCommitted }: SimControlPlaneParts) {
    this.#world = world;
    this.#network = network;
    this.#items = items;
    this.#orders = orders;
    this.#canaries = canaries;
    this.#sources = sources;
    this.#sourceInvariants = sourceInvariants;
    this.#onCommitted = onCommitted;
    this.#store = createMemoryStore({ clock: world });
  }

  get up(): boolean {
    return this.#running !== null;
  }

  async start(): Promise<void> {
    if (this.#running) return;
    let running: ControlPlane | null = null;
    // What it writes while it is made is written.
    const alive = (): boolean => running === null || this.#running === running;
    running = createControlPlane({
      store: this.#storeOf(alive), clock: this.#world, timers: gatedTimers(this.#world, alive), random: this.#world.random,
      soon: (run) => {
        this.#world.after(0, () => {
          if (alive()) run();
        });
      },
      log: { error: (message, facts) => this.#complain(message, facts), warn: () => {}, info: () => {}, debug: () => {} },
      items: this.#items.sourcesFor(alive), discoverySources: this.#sources.sourcesFor(alive),
      retention: { minAgeMs: 30 * 86_400_000, minEntries: 1_000 },
    });
    this.#running = running;
    this.#watchEndpoints(running.instances, alive);
    this.#canaries.reportTo(running, alive);
    await running.start();
    const { hub } = running;
    if (alive()) this.#network.listen({ accept: (stream) => hub.acceptSync(stream) });
  }

  crash(): void {
    this.#orders.crashed();
    this.#canaries.crashed();
    this.#sourceInvariants.crashed(this.#world.monotonicMs());
    this.#running = null;
    this.#network.listen(null);
  }

  async apply(yaml: string): Promise<'accepted' | 'refused' | 'no answer'> {
    const running = this.#running;
    if (!running) return 'no answer';
    const loaded = loadDocuments([{ name: 'edit', bytes: yaml }]);
    const { documents, violations } = running.model.validateDocuments(loaded.documents);
    if (violations.length + loaded.violations.length > 0) {
      this.lastRefusal = [...loaded.violations, ...violations].map(({ message }) => message).join('; ');
      return 'refused';
    }
    try {
      await running.writePath.write({ intent: { kind: 'apply', documents }, author: 'simulator', message: '', force: ['removes-authentication'] });
      return 'accepted';
    } catch (error) {
      if (!(error instanceof WriteError)) throw error;
      if (error.code === 'stopping') return 'no answer';
      this.lastRefusal = `${error.message}: ${error.violations.map(({ message }) => message).join('; ')}`;
      return 'refused';
    }
  }

  /** What the sidecars of a subject should enforce, and the kinds in it. */
  wanted(subject: SubjectKey): { readonly hash: string; readonly kinds: ReadonlySet<string> } | null {
    const state = this.#running?.writePath.state();
    const compiled = state?.kind === 'ready' ? state.planned.compilation.subjects.get(subject) : undefined;
    if (!compiled) return null;
    const kinds = new Set<string>();
    for (const bytes of compiled.resources.values()) {
      const { body } = Resource.decode(bytes);
      if (body?.$case === 'settings') for (const section of body.value.sections) kinds.add(section.kind);
    }
    return { hash: compiled.hash, kinds };
  }

  /** Something that sidecars know beside documents becomes another. */
  changeItems(): void {
    if (this.#running) this.#items.change(this.#running);
  }

  /** Somebody gives an order about a host or a breaker. */
  giveOrder(): void {
    if (this.#running) this.#orders.give(this.#running);
  }

  /** Somebody does something about a canary. It may be refused: a canary's Route is its own. */
  async disturbCanary(): Promise<void> {
    const yaml = this.#running && this.#canaries.edit(this.#running);
    if (yaml !== null) await this.apply(yaml);
  }

  /** In the end: what a canary has not brought to its end. */
  canaryProblems(): string[] {
    return this.#running ? this.#canaries.problems(this.#running) : [];
  }

  /** The services that a subject calls. */
  destinations(subject: SubjectKey): readonly string[] {
    const state = this.#running?.writePath.state();
    return state?.kind === 'ready' ? state.planned.compilation.subjects.get(subject)?.destinations ?? [] : [];
  }

  /** Hashes of the items that sidecars of a subject should hold, by `kind/name`. */
  wantedItems(subject: SubjectKey): ReadonlyMap<string, string> | null {
    return this.#running && this.#items.wanted(this.#running, subject);
  }

  /** Notes what the registry says as soon as it says it: the hub reads it when it likes. */
  #watchEndpoints(instances: ControlPlane['instances'], alive: () => boolean): void {
    const setFound = instances.setFound.bind(instances);
    instances.setFound = (service, found) => {
      if (!alive()) return;
      setFound(service, found);
      const set = isFound(service) ? instances.endpoints(service) : null;
      this.#sourceInvariants.told(service, set && seenSet(set), this.#world.monotonicMs());
    };
  }

  #storeOf(alive: () => boolean): Store {
    const durable = this.#store;
    const never = new Promise<never>(() => {});
    return new Proxy(durable, {
      get: (target, name: keyof Store) => {
        if (name === 'append') {
          return async (input: Parameters<Store['append']>[0]) => {
            if (!alive()) return never;
            const result = await target.append(input);
            if (result.kind === 'appended') this.#onCommitted(result.entry.version, (input.compiled?.manifests ?? new Map()) as ReadonlyMap<SubjectKey, string>);
            if (result.kind === 'appended') this.#canaries.committed(result.entry);
            if (result.kind === 'appended' && this.crashOnNextCommit) {
              this.crashOnNextCommit = false;
              this.crash();
              this.#world.after(this.#world.upTo(5_000), () => void this.start());
            }
            return alive() ? result : never;
          };
        }
        if (name === 'putRecords') return (...parameters: Parameters<Store['putRecords']>) => (alive() ? target.putRecords(...parameters) : undefined);
        const member = target[name];
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  }

  #complain(message: string, facts: unknown): void {
    throw new Error(`the control plane logged an error: ${message} ${JSON.stringify(facts)}`);
  }
}

/** Timers that end with the process that made them. */
function gatedTimers(world: VirtualWorld, alive: () => boolean): Timers {
  const gated = (run: () => void) => (): void => {
    if (alive()) run();
  };
  return {
    after: (delayMs, run): Timer => world.after(delayMs, gated(run)),
    every: (intervalMs, run): Timer => world.every(intervalMs, gated(run)),
  };
}
