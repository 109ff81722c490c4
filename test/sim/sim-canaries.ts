import type { JsonObject } from '@remora/core/canonical-json';
import type { ControlPlane } from '@remora/control-plane/app';
import type { CanaryOrder } from '@remora/control-plane/rollout/canary-runner';
import type { LogEntry } from '@remora/control-plane/store/store';
import { createTrafficCounts } from '@remora/control-plane/telemetry/traffic-counts';
import type { CanaryInvariants, CanaryWrite } from './canary-invariants.ts';
import type { VirtualWorld } from './virtual-world.ts';

/** The Route that the canaries of a run move, and what is not theirs of it. */
const canaryRoute = 'pay';
const canaryName = 'pay-v2';
/** Percent of the candidate, in order. */
export const canarySteps = [5, 25, 60] as const;
export const canaryMinRequests = 50;
const reportEveryMs = 1_000;

/** What callers report of the candidate: it is well, it fails, nobody says anything, only few requests come. */
const looks = ['well', 'well', 'failing', 'missing', 'few'] as const;

/** Canaries of one run: people who begin, order and disturb them, and callers who report, or do not. */
export class SimCanaries {
  readonly #world: VirtualWorld;
  readonly #invariants: CanaryInvariants;
  #look: (typeof looks)[number] = 'missing';
  #round = 0;
  #begun = false;
  #healed = false;

  constructor(world: VirtualWorld, invariants: CanaryInvariants) {
    this.#world = world;
    this.#invariants = invariants;
  }

  /** Callers report to a control plane as long as it lives. */
  reportTo({ telemetry, canaryBook }: Pick<ControlPlane, 'telemetry' | 'canaryBook'>, alive: () => boolean): void {
    const timer = this.#world.every(reportEveryMs, () => {
      if (!alive()) return timer.cancel();
      if (this.#world.chance(0.1) && !this.#healed) this.#look = this.#world.pick(looks);
      if (canaryBook.liveOn('payments') !== null) this.#begun = true;
      if (this.#look === 'missing') return;
      for (const side of ['v1', 'v2']) {
        const counts = createTrafficCounts();
        const failed = side === 'v2' && this.#look === 'failing' ? 20 : 0;
        counts.requests = this.#look === 'few' && side === 'v2' ? 1 : 40;
        if (side === 'v2') this.#invariants.reported({ requests: counts.requests, failed }, this.#world.monotonicMs());
        counts.classes.set([0, 0, counts.requests - failed, 0, 0, failed]);
        counts.latency[40] = counts.requests;
        const name = { destination: 'payments', target: `version=${side}` };
        telemetry.targets.seen(name, this.#world.monotonicMs());
        telemetry.targets.add(name, counts);
      }
    });
  }

  /** What people apply about canaries; null: they gave an order instead. */
  edit({ canaries, canaryBook }: ControlPlane): string | null {
    const running = canaryBook.get(canaryName)?.phase === 'running';
    const kind = this.#world.pick(['begin', 'begin', 'route', 'order']);
    if (kind === 'begin' && canaryBook.liveOn('payments') === null) return `${routeYaml('steady')}\n---\n${this.#canaryYaml()}`;
    if (kind === 'route') return routeYaml(`edited-${++this.#round}`);
    const order = this.#world.pick<CanaryOrder>([{ kind: 'pause' }, { kind: 'resume' }, { kind: 'resume' }, { kind: 'abort' }, { kind: 'promote', now: true }]);
    if (!running || !canaries.working) return null;
    if (order.kind === 'promote') this.#invariants.promoted();
    canaries.order(canaryName, order, 'simulator');
    return null;
  }

  /** Callers report from now on that all is well. */
  heal(): void {
    this.#healed = true;
    this.#look = 'well';
  }

  /** The control plane is gone. */
  crashed(): void {
    this.#invariants.crashed();
  }

  /** An entry of the log became durable. */
  committed({ author, changes }: Pick<LogEntry, 'author' | 'changes'>): void {
    const change = changes.find(({ key }) => key === `Route/${canaryRoute}`);
    if (!change) return;
    this.#invariants.wrote(readWrite(author, change.after), this.#world.monotonicMs());
  }

  /** In the end: no canary is under way that could go on, and the Route is as its end says. */
  problems({ canaryBook, canaries, store }: ControlPlane): string[] {
    const run = canaryBook.get(canaryName);
    if (run === null) return this.#begun ? ['the canary is gone'] : [];
    if (run.phase === 'running' && run.paused && canaries.working) canaries.order(canaryName, { kind: 'resume' }, 'simulator');
    if (run.phase === 'running' || run.phase === 'completing' || run.phase === 'reverting') return [`the canary is ${run.phase} still: ${run.blocked}${run.decisions.at(-1)?.sentence ?? ''}`];
    const route = store.documents().get(`Route/${canaryRoute}`)?.document ?? null;
    return this.#invariants.ended(run.phase, readWrite('', route));
  }

  #canaryYaml(): string {
    const steps = canarySteps.map((weight) => `{weight: ${weight}, for: 2s}`).join(', ');
    return `{kind: Canary, name: ${canaryName}, labels: {round: r${++this.#round}}, service: payments, routes: [${canaryRoute}], stable: {labels: {version: v1}}, candidate: {labels: {version: v2}}, `
      + `steps: [${steps}, {weight: 100}], gates: {errorRate: {maxIncrease: 1%}, minRequests: ${canaryMinRequests + (this.#round % 7)}}}`;
  }
}

function routeYaml(mark: string): string {
  return `{kind: Route, name: ${canaryRoute}, labels: {mark: ${mark}}, service: payments, to: [{labels: {version: v1}}]}`;
}

function readWrite(author: string, route: JsonObject | null): CanaryWrite {
  const to = (route?.['to'] ?? []) as readonly { readonly labels?: Readonly<Record<string, string>>; readonly weight?: number }[];
  const weight = (version: string): number => to.find(({ labels }) => labels?.['version'] === version)?.weight ?? (to.length === 1 && to[0]?.labels?.['version'] === version ? 100 : 0);
  return { byCanary: author === `canary/${canaryName}`, candidate: weight('v2'), stable: weight('v1') };
}
