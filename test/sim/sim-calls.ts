import type { Clock } from '@remora/core/clock';
import { reasons } from '@remora/errors/reason';
import { SharedWords } from '@remora/policy-kit/atomic-words';
import type { Call, Sink } from '@remora/policy-kit/exchange';
import type { HostSet, HostWatch } from '@remora/policy-kit/hosts';
import { BreakerMachine, noTicket } from '@remora/policy-circuit-breaker/breaker-machine';
import { breakerStates } from '@remora/policy-circuit-breaker/breaker-word';
import type { MachineSettings } from '@remora/policy-circuit-breaker/wire';
import { outlierDetectionRuntime } from '@remora/policy-outlier-detection/filter';
import type { OutlierDetectionSettings } from '@remora/policy-outlier-detection/wire';
import { RetryBudget } from '@remora/policy-retry/retry-budget';
import type { EndpointUpdate } from '@remora/sidecar/threads/data-plane';
import type { ClusterHost } from '@remora/sidecar/upstream/cluster-host';
import { HostSlots } from '@remora/sidecar/upstream/host-slots';
import { MemoryLiveState, TestFilterContext } from '@remora/testing/filter-context';
import { ManualClock } from '@remora/testing/manual-clock';
import { budgetTerms, cap, type CallInvariants } from './call-invariants.ts';
import { algorithms, SimChoices } from './sim-choices.ts';
import type { AttemptEnd, SimHosts } from './sim-hosts.ts';
import type { VirtualWorld } from './virtual-world.ts';

/** Whom everybody calls here. */
const calledService = 'ledger';
const burstEveryMs = 600;
const callsPerBurst = 10;
const threads = 2;

const outlierSettings: OutlierDetectionSettings = {
  intervalMs: 5_000, baseEjectionMs: 2_000, maxEjectionMs: 8_000, jitterMs: 500, maxEjected: cap.share, minHosts: 2, consecutive5xx: 4, consecutiveGatewayErrors: 3, consecutiveLocalFailures: 2,
  successRate: { deviations: 1.9, minHosts: 3, minRequests: 10 }, failurePercentage: { threshold: 0.8, minHosts: 3, minRequests: 10 },
};

const machineSettings: MachineSettings = {
  consecutiveFailures: 12, failureRate: 0.6, slowCallRate: 0, slowCallMs: 1_000, windowCalls: 40, windowMs: 0, minimumCalls: 20, openBaseMs: 1_000, openMaxMs: 8_000, openJitter: 0.2, probes: 3, successes: 3, probePatienceMs: 4_000,
  failOn: { connectFailure: true, reset: true, refusedStream: false, timeout: true, serverErrors: true, statuses: new Set(), grpcStatuses: new Set() },
};

interface OpenCall {
  readonly thread: number;
  readonly ticket: number;
  readonly attempt: Attempt | null;
}

interface Attempt {
  readonly host: ClusterHost;
  readonly end: AttemptEnd;
  readonly latencyMs: number;
}

/**
 * What one run of a sidecar makes of hosts that fail: its real balancers, watch over outliers, breaker and retry budget, in the memory that two data threads share, at the
 * hosts that its state lane brings. Some calls end late, some never.
 */
export class SimCalls {
  readonly #world: VirtualWorld;
  readonly #clock: Clock;
  readonly #node: string;
  readonly #health: SimHosts;
  readonly #invariants: CallInvariants;
  readonly #slots: HostSlots;
  readonly #watches: readonly HostWatch[];
  readonly #machines: readonly BreakerMachine[];
  readonly #budget = new RetryBudget({ buffer: new SharedArrayBuffer(RetryBudget.bytes) });
  readonly #choices: readonly SimChoices[];
  #open: OpenCall[] = [];

  constructor(parts: { readonly world: VirtualWorld; readonly clock: Clock; readonly node: string; readonly health: SimHosts; readonly invariants: CallInvariants; readonly alive: () => boolean }) {
    this.#world = parts.world;
    this.#clock = parts.clock;
    this.#node = parts.node;
    this.#health = parts.health;
    this.#invariants = parts.invariants;
    this.#slots = new HostSlots(parts.clock);
    const live = new MemoryLiveState();
    const contexts = Array.from({ length: threads }, () => new TestFilterContext('outlierDetection', { side: 'outbound', live, clock: new GivenClock(parts.clock), random: parts.world.random, scope: `outbound/web/to/${calledService}/` }));
    this.#watches = contexts.map(watchOf);
    const algorithm = parts.world.pick(algorithms);
    this.#choices = contexts.map((context) => new SimChoices(parts.node, algorithm, context, parts.invariants));
    const common = BreakerMachine.commonWords(machineSettings);
    const words = new SharedWords(new SharedArrayBuffer((common + threads * BreakerMachine.rowWords) * 4));
    this.#machines = contexts.map((_, own) => new BreakerMachine(machineSettings, { words, rows: { at: common, words: BreakerMachine.rowWords, threads, own } }));
    this.#invariants.started(this.#node);
    const timer = parts.world.every(burstEveryMs, () => {
      if (parts.alive()) this.#burst();
      else timer.cancel();
    });
  }

  /** From the state lane. */
  endpoints(update: EndpointUpdate): void {
    const before = new Set(this.#set?.all.map(({ id }) => id));
    this.#slots.grant(update);
    this.#slots.release(this.#slots.takeLeaving());
    const { states } = this.#slots;
    const nowMs = this.#clock.monotonicMs();
    const all = this.#slots.of(calledService);
    for (const choices of this.#choices) choices.update(all, states, nowMs);
    for (const { id, slot } of all) if (!before.has(id) && states.ejectedUntil(slot) > nowMs) this.#invariants.violations.push(`${this.#node} has ${id} ejected as soon as it comes`);
  }

  /** In the end: whoever is well is used, and nothing stands between. */
  problems(): string[] {
    const nowMs = this.#clock.monotonicMs();
    const out = (this.#set?.all ?? []).filter(({ slot }) => this.#slots.states.ejectedUntil(slot) > nowMs);
    const closed = (this.#set?.all.length ?? 0) === 0 || this.#machines[0]?.state === breakerStates.closed;
    return [...out.map(({ id }) => `${this.#node} has ${id} ejected still`), ...(closed ? [] : [`the breaker of ${this.#node} is not closed`])];
  }

  /** What every thread has. */
  get #set(): HostSet | null {
    return this.#choices[0]?.set ?? null;
  }

  #burst(): void {
    const set = this.#set;
    if (!set || set.all.length === 0) return;
    const before = this.#ejected(set);
    const open = this.#open;
    this.#open = [];
    for (const call of open) this.#end(call);
    for (let n = 0; n < callsPerBurst; n++) this.#call(n % threads);
    const nowMs = this.#clock.monotonicMs();
    this.#invariants.ejected(this.#node, { hosts: set.all.length, before, after: this.#ejected(set) });
    for (const { id, slot } of set.all) this.#invariants.ejectedFor(this.#node, id, set.states.ejectedUntil(slot) - nowMs, outlierSettings.maxEjectionMs + outlierSettings.jitterMs);
  }

  #call(thread: number): void {
    const nowMs = this.#clock.monotonicMs();
    const machine = this.#machines[thread] as BreakerMachine;
    const ticket = machine.admit(nowMs);
    this.#invariants.admitted(this.#node, { ticket: ticket === noTicket ? null : ticket, halfOpen: machine.state === breakerStates.halfOpen, probesMax: machineSettings.probes, nowMs });
    if (ticket === noTicket) return;
    this.#budget.sent(nowMs);
    this.#invariants.sent(this.#node, nowMs);
    let attempt = this.#attempt(thread, [], nowMs);
    if (attempt?.end !== 'answered' && this.#budget.take(nowMs, budgetTerms)) {
      this.#invariants.retried(this.#node, nowMs);
      if (attempt !== null) this.#leave(thread, attempt);
      attempt = this.#attempt(thread, attempt === null ? [] : [attempt.host.id], nowMs);
    }
    const call: OpenCall = { thread, ticket, attempt };
    // Late, never, or now.
    if (this.#world.chance(0.1)) this.#open.push(call);
    else if (this.#world.chance(0.02)) this.#leaveOf(call);
    else this.#end(call);
  }

  #end(call: OpenCall): void {
    const { thread, ticket, attempt } = call;
    this.#invariants.ended(this.#node, ticket);
    this.#machines[thread]?.ended(ticket, { failed: attempt?.end !== 'answered', slow: false }, this.#clock.monotonicMs(), this.#world.random);
    this.#leaveOf(call);
  }

  #leaveOf({ thread, attempt }: OpenCall): void {
    if (attempt !== null) this.#leave(thread, attempt);
  }

  #leave(thread: number, { host, end, latencyMs }: Attempt): void {
    this.#choices[thread]?.ended(host, end === 'refused' ? null : latencyMs, this.#clock.monotonicMs());
  }

  /** Null: nobody could be asked. */
  #attempt(thread: number, avoid: readonly string[], nowMs: number): Attempt | null {
    const choices = this.#choices[thread] as SimChoices;
    const { set } = choices;
    const host = set === null ? null : choices.choose(set, avoid, nowMs);
    if (set === null || host === null) return null;
    const { end, latencyMs } = this.#health.call(host.id);
    const call = { hosts: set, reused: false } as unknown as Call;
    const watch = this.#watches[thread] as HostWatch;
    if (end === 'refused') watch.failed(call, host, reasons.connectFailure, false);
    else watch.answered(call, host, end === 'failed' ? 503 : 200, -1, latencyMs);
    return { host, end, latencyMs };
  }

  #ejected({ all, states }: HostSet): number {
    const nowMs = this.#clock.monotonicMs();
    return all.filter(({ slot }) => states.ejectedUntil(slot) > nowMs).length;
  }
}

/** What the layer of one data thread gives its calls. */
function watchOf(context: TestFilterContext): HostWatch {
  const call = { watch: null } as unknown as Call;
  const nowhere = {} as Sink;
  outlierDetectionRuntime.layer?.(outlierSettings, context)?.(() => nowhere)(call, nowhere);
  if (call.watch === null) throw new Error('the layer watches nothing');
  return call.watch;
}

/** For what takes a clock that tests move: this one is moved elsewhere. */
class GivenClock extends ManualClock {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    super();
    this.#clock = clock;
  }

  override wallMs(): number {
    return this.#clock.wallMs();
  }

  override monotonicMs(): number {
    return this.#clock.monotonicMs();
  }
}
