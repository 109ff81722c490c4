import { formatVersion } from '@remora/core/version';
import { subjectKey, type Subject } from '@remora/core/subject';
import { CallInvariants } from './call-invariants.ts';
import { CanaryInvariants } from './canary-invariants.ts';
import { Invariants } from './invariants.ts';
import { ItemInvariants } from './item-invariants.ts';
import { initialDocuments, makeEdit } from './mesh-edits.ts';
import { canaryMinRequests, canarySteps, SimCanaries } from './sim-canaries.ts';
import { SimControlPlane } from './sim-control-plane.ts';
import { SimOrders } from './sim-orders.ts';
import { SimHosts } from './sim-hosts.ts';
import { SimItems } from './sim-items.ts';
import { SimNetwork } from './sim-network.ts';
import { foundServiceNames, isFound, SimSources } from './sim-sources.ts';
import { decodedSet } from './seen-set.ts';
import { SourceInvariants } from './source-invariants.ts';
import { SimSidecar } from './sim-sidecar.ts';
import { VirtualWorld } from './virtual-world.ts';

export interface SimulationReport {
  readonly seed: number;
  /** What must never happen, in the order in which it did. Empty: all is well. */
  readonly violations: readonly string[];
  readonly accepted: number;
  readonly refused: number;
  readonly enforcements: number;
  /** Changes of items in sidecars, and items that were taken from them. */
  readonly itemChanges: number;
  readonly itemRemovals: number;
  /** Orders about hosts and breakers that were acknowledged. */
  readonly orders: number;
  /** Answers of sources that were not the truth, sets in which instances were doubted, and instances that callers lost. */
  readonly lies: number;
  readonly doubted: number;
  readonly departures: number;
  /** Calls of `ledger`, hosts that they ejected, calls that breakers refused, and second attempts. */
  readonly calls: number;
  readonly ejections: number;
  readonly breakerRefusals: number;
  readonly retries: number;
  /** Revisions by canaries, and those that ended one. */
  readonly canaryMoves: number;
  readonly canaryEnds: number;
  readonly crashes: number;
  /** Virtual ms from the end of all faults until every sidecar enforced and held what is wanted. */
  readonly convergedAfterMs: number;
}

const fleet: readonly { readonly node: string; readonly subject: Subject; readonly without: string | null; readonly aheadMs: number }[] = [
  { node: 'edge-1', subject: { kind: 'gateway', name: 'edge' }, without: null, aheadMs: 0 },
  { node: 'web-1', subject: { kind: 'service', name: 'web' }, without: null, aheadMs: 3_600_000 },
  { node: 'orders-1', subject: { kind: 'service', name: 'orders' }, without: null, aheadMs: -3_600_000 },
  { node: 'orders-2', subject: { kind: 'service', name: 'orders' }, without: 'fault', aheadMs: 0 },
  { node: 'payments-1', subject: { kind: 'service', name: 'payments' }, without: null, aheadMs: 0 },
];

const faultyMs = 90_000;
const healingMs = 180_000;

/**
 * One seeded run: real hub, write path, planner and config clients; time, network and disk simulated. Faults of every
 * kind for a while, then none; at every swap the invariants of faults.md hold, and in the end everybody converges.
 */
export class Simulation {
  readonly #seed: number;
  readonly #world: VirtualWorld;
  readonly #network: SimNetwork;
  readonly #controlPlane: SimControlPlane;
  readonly #sidecars: readonly SimSidecar[];
  readonly #items: SimItems;
  readonly #orders: SimOrders;
  readonly #health: SimHosts;
  readonly #canaryInvariants = new CanaryInvariants(canarySteps, canaryMinRequests);
  readonly #canaries: SimCanaries;
  readonly #callInvariants = new CallInvariants();
  readonly #sources: SimSources;
  readonly #sourceInvariants = new SourceInvariants();
  readonly #invariants = new Invariants();
  readonly #itemInvariants = new ItemInvariants();
  #accepted = 0;
  #refused = 0;
  #crashes = 0;
  #faults = true;

  constructor(seed: number) {
    this.#seed = seed;
    this.#world = new VirtualWorld(seed);
    this.#network = new SimNetwork(this.#world);
    this.#items = new SimItems(this.#world);
    this.#orders = new SimOrders(this.#world);
    this.#canaries = new SimCanaries(this.#world, this.#canaryInvariants);
    this.#health = new SimHosts(this.#world);
    this.#sources = new SimSources(this.#world);
    this.#controlPlane = new SimControlPlane({
      world: this.#world, network: this.#network, items: this.#items, orders: this.#orders, canaries: this.#canaries, sources: this.#sources, sourceInvariants: this.#sourceInvariants,
      onCommitted: (version, subjects) => {
        for (const [subject, hash] of subjects) this.#invariants.committed(subject, hash, version);
      },
    });
    this.#sidecars = fleet.map((each) => new SimSidecar({
      ...each, world: this.#world, network: this.#network, health: this.#health, callInvariants: this.#callInvariants,
      onEnforced: (enforced) => this.#invariants.enforced(subjectKey(each.subject), enforced),
      onItems: (held) => this.#itemInvariants.held(held),
      onEndpoints: (node, { full, sets }) => {
        // What a disk had, the node had before.
        for (const { service, seen } of sets.map(decodedSet)) if (!full && isFound(service)) this.#sourceInvariants.has(node, service, seen);
      },
      onRestored: (node, stored, held) => this.#itemInvariants.restored(node, stored, held),
    }));
  }

  async run(): Promise<SimulationReport> {
    await this.#world.until(this.#controlPlane.start());
    await this.#world.until(this.#write(initialDocuments, false));
    for (const sidecar of this.#sidecars) await this.#world.until(sidecar.start());
    this.#network.lossRate = 0.002;
    for (const sidecar of this.#sidecars) sidecar.disk.failRate = this.#world.chance(0.3) ? 0.1 : 0;
    this.#scheduleEdits();
    this.#scheduleItems();
    this.#scheduleMoods();
    // Each of their steps compiles a revision: one run of four is enough.
    if (this.#seed % 4 === 0) this.#scheduleCanaries();
    this.#scheduleFaults();
    await this.#world.run(faultyMs);
    await this.#heal();
    const convergedAfterMs = await this.#converge();
    return {
      seed: this.#seed, violations: [...this.#invariants.violations, ...this.#itemInvariants.violations, ...this.#sourceInvariants.violations, ...this.#callInvariants.violations, ...this.#canaryInvariants.violations], accepted: this.#accepted, refused: this.#refused,
      enforcements: this.#invariants.enforcements, itemChanges: this.#itemInvariants.changes, itemRemovals: this.#itemInvariants.removals, orders: this.#orders.count, lies: this.#sources.lies, doubted: this.#sourceInvariants.doubted, departures: this.#sourceInvariants.departures,
      calls: this.#callInvariants.calls, ejections: this.#callInvariants.ejections, breakerRefusals: this.#callInvariants.refusals, retries: this.#callInvariants.retries,
      canaryMoves: this.#canaryInvariants.moves, canaryEnds: this.#canaryInvariants.ends, crashes: this.#crashes, convergedAfterMs,
    };
  }

  #scheduleEdits(): void {
    this.#world.after(this.#world.upTo(1_500), () => {
      if (!this.#faults) return;
      const edit = makeEdit(this.#world);
      void this.#write(edit.yaml, edit.refused);
      this.#scheduleEdits();
    });
  }

  #scheduleItems(): void {
    this.#world.after(this.#world.upTo(2_000), () => {
      if (!this.#faults) return;
      this.#controlPlane.changeItems();
      if (this.#world.chance(0.5)) this.#controlPlane.giveOrder();
      this.#scheduleItems();
    });
  }

  #scheduleCanaries(): void {
    this.#world.after(1_000 + this.#world.upTo(6_000), () => {
      if (!this.#faults) return;
      void this.#controlPlane.disturbCanary();
      this.#scheduleCanaries();
    });
  }

  #scheduleMoods(): void {
    this.#world.after(this.#world.upTo(8_000), () => {
      if (!this.#faults) return;
      this.#sources.changeMood();
      this.#health.change(this.#sources.truth('ledger'));
      this.#scheduleMoods();
    });
  }

  async #write(yaml: string, mustBeRefused: boolean): Promise<void> {
    const outcome = await this.#controlPlane.apply(yaml);
    if (outcome === 'accepted') this.#accepted += 1;
    if (outcome === 'refused') this.#refused += 1;
    if (outcome === 'accepted' && mustBeRefused) this.#invariants.violations.push(`accepted what is wrong: ${yaml}`);
    if (outcome === 'refused' && !mustBeRefused) this.#invariants.violations.push(`refused what is right: ${yaml}: ${this.#controlPlane.lastRefusal}`);
  }

  #scheduleFaults(): void {
    this.#world.after(500 + this.#world.upTo(4_000), () => {
      if (!this.#faults) return;
      this.#fault();
      this.#scheduleFaults();
    });
  }

  #fault(): void {
    const sidecar = this.#world.pick(this.#sidecars);
    const forMs = this.#world.upTo(12_000);
    this.#world.pick([
      () => this.#crashControlPlane(forMs),
      () => this.#crashSidecar(sidecar, forMs),
      () => {
        this.#network.partition(sidecar.node, true);
        this.#world.after(forMs * 2, () => this.#network.partition(sidecar.node, false));
      },
      () => {
        this.#network.stick(sidecar.node, true);
        this.#world.after(forMs * 2, () => this.#network.stick(sidecar.node, false));
      },
      () => this.#network.cutAll(),
      () => {
        this.#world.stepWallClock((this.#world.chance(0.5) ? 1 : -1) * 3_600_000);
        this.#orders.stepped(this.#controlPlane.up);
      },
      () => { this.#controlPlane.crashOnNextCommit = true; },
    ])();
  }

  #crashControlPlane(forMs: number): void {
    if (!this.#controlPlane.up) return;
    this.#crashes += 1;
    this.#controlPlane.crash();
    this.#world.after(forMs, () => void this.#controlPlane.start());
  }

  #crashSidecar(sidecar: SimSidecar, forMs: number): void {
    if (!sidecar.up) return;
    this.#crashes += 1;
    sidecar.crash();
    this.#world.after(forMs, () => {
      if (!sidecar.up) void sidecar.start();
    });
  }

  async #heal(): Promise<void> {
    this.#faults = false;
    this.#network.lossRate = 0;
    this.#sources.heal();
    this.#health.heal();
    this.#canaries.heal();
    this.#controlPlane.crashOnNextCommit = false;
    for (const sidecar of this.#sidecars) {
      sidecar.disk.failRate = 0;
      this.#network.partition(sidecar.node, false);
      this.#network.stick(sidecar.node, false);
      if (!sidecar.up) await this.#world.until(sidecar.start());
    }
    if (!this.#controlPlane.up) await this.#world.until(this.#controlPlane.start());
  }

  /** Everything in the end: who can enforce what is wanted does; who cannot enforces something that was committed, and holds the items that it should all the same. */
  async #converge(): Promise<number> {
    for (let elapsed = 0; elapsed < healingMs; elapsed += 500) {
      await this.#world.run(500);
      if (!this.#controlPlane.up) await this.#world.until(this.#controlPlane.start());
      if (this.#behind().length === 0) return elapsed + 500;
    }
    this.#invariants.violations.push(...this.#behind());
    return Number.POSITIVE_INFINITY;
  }

  #behind(): string[] {
    return [...this.#controlPlane.canaryProblems(), ...this.#sidecars.flatMap((sidecar) => [...this.#behindInItems(sidecar), ...this.#behindInConfig(sidecar), ...this.#behindInOrders(sidecar), ...this.#behindInEndpoints(sidecar), ...(sidecar.calls?.problems() ?? [])])];
  }

  #behindInItems(sidecar: SimSidecar): string[] {
    const wanted = this.#controlPlane.wantedItems(subjectKey(sidecar.subject));
    return wanted === null ? [`${sidecar.node}: nobody says what it should hold`] : this.#itemInvariants.converged(sidecar.node, wanted, sidecar.holding);
  }

  #behindInEndpoints(sidecar: SimSidecar): string[] {
    const called = this.#controlPlane.destinations(subjectKey(sidecar.subject));
    return foundServiceNames.filter((service) => called.includes(service))
      .flatMap((service) => this.#sourceInvariants.converged(sidecar.node, service, this.#sources.truth(service), sidecar.endpoints(service)));
  }

  #behindInOrders({ node, subject, obedience }: SimSidecar): string[] {
    if (obedience === null) return [];
    const called = this.#controlPlane.destinations(subjectKey(subject));
    return this.#orders.problems({
      node, calls: (service) => called.includes(service), breaker: (service) => obedience.breaker(service), usable: (service, host) => obedience.usable(service, host), knows: (service, host) => obedience.knows(service, host),
    });
  }

  #behindInConfig(sidecar: SimSidecar): string[] {
    const wanted = this.#controlPlane.wanted(subjectKey(sidecar.subject));
    if (wanted !== null && wanted.kinds.has(sidecar.without ?? '')) return [];
    const has = sidecar.enforcing;
    return wanted !== null && has?.hash === wanted.hash ? [] : [`${sidecar.node} did not converge: wants ${wanted?.hash.slice(0, 8)}, has ${has?.hash.slice(0, 8)} of ${has ? formatVersion(has.version) : 'nothing'}`];
  }
}
