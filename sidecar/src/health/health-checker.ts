import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import { hostHealth, noSlot } from '@remora/policy-kit/host-states';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { HostDirectory, KnownHost } from '../upstream/host-slots.ts';
import { healthChecksOf, questionFor, type ServiceChecks } from './health-checks.ts';
import { HealthMachine } from './health-machine.ts';
import type { HealthProbe } from './health-probe.ts';
import type { HealthRecord } from './health-record.ts';

export interface HealthCheckerDeps {
  readonly hosts: HostDirectory;
  readonly probe: HealthProbe;
  readonly record: HealthRecord;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
}

/** One host that is checked again and again. */
interface Watched {
  readonly machine: HealthMachine;
  host: KnownHost;
  timer: Timer | null;
  asking: boolean;
  /** What came of the last question: '' was good. */
  problem: string;
}

/** Questions under way at once; beyond, the next one waits until one of them has ended. */
const askingMax = 128;

/**
 * Asks the hosts of services whose callers are told to (`healthCheck`), in the control thread, and writes what it finds where balancers read it. A host
 * that is well again after it was not is no longer ejected either: who could be asked can be called.
 */
export class HealthChecker {
  readonly #deps: HealthCheckerDeps;
  /** By service, then by slot. */
  readonly #watched = new Map<string, Map<number, Watched>>();
  readonly #waiting: (() => void)[] = [];
  readonly #stop: () => void;
  #checks: ReadonlyMap<string, ServiceChecks> = new Map();
  #asking = 0;
  #closed = false;

  constructor(deps: HealthCheckerDeps) {
    this.#deps = deps;
    this.#stop = deps.hosts.onChange((service) => this.#followService(service));
  }

  /** The snapshot is enforced. */
  follow(snapshot: Snapshot): void {
    const before = this.#checks;
    this.#checks = healthChecksOf(snapshot);
    for (const service of new Set([...before.keys(), ...this.#checks.keys()])) this.#followService(service);
  }

  /** Hosts that are checked, with how many are not well. */
  get counts(): { readonly checked: number; readonly unhealthy: number } {
    const all = [...this.#watched.values()].flatMap((hosts) => [...hosts.values()]);
    return { checked: all.length, unhealthy: all.filter(({ machine }) => machine.health === hostHealth.unhealthy).length };
  }

  close(): void {
    this.#closed = true;
    this.#stop();
    this.#waiting.length = 0;
    for (const hosts of this.#watched.values()) for (const { timer } of hosts.values()) timer?.cancel();
  }

  #followService(service: string): void {
    const checks = this.#checks.get(service);
    const before = this.#watched.get(service) ?? new Map<number, Watched>();
    const after = new Map<number, Watched>();
    for (const host of checks === undefined ? [] : this.#deps.hosts.of(service)) {
      if (host.slot === noSlot) continue;
      const known = before.get(host.slot);
      // Another host may have come into the slot.
      const same = known?.host.since === host.since ? known : undefined;
      if (same !== undefined) before.delete(host.slot);
      const watched = same ?? { machine: new HealthMachine(), host, timer: null, asking: false, problem: '' };
      watched.host = host;
      after.set(host.slot, watched);
      if (same === undefined) this.#arm(watched, this.#deps.random.next() * Math.min(firstWithinMs, checks?.settings.intervalMs ?? 0));
    }
    for (const gone of before.values()) this.#forget(gone);
    if (after.size > 0) this.#watched.set(service, after);
    else this.#watched.delete(service);
  }

  #forget({ host, timer, machine }: Watched): void {
    timer?.cancel();
    // Where it is still there it is not checked any more: nothing is known of it.
    if (this.#deps.hosts.of(host.service).some(({ slot, since }) => slot === host.slot && since === host.since)) this.#deps.hosts.states.setHealth(host.slot, hostHealth.unchecked);
    if (machine.health === hostHealth.unhealthy) this.#tell(host, 'ended', 'it is checked no more', 0);
  }

  #arm(watched: Watched, delayMs: number): void {
    watched.timer = this.#deps.timers.after(delayMs, () => this.#turn(watched));
  }

  #turn(watched: Watched): void {
    watched.timer = null;
    if (this.#asking >= askingMax) this.#waiting.push(() => void this.#ask(watched));
    else void this.#ask(watched);
  }

  #isWatched(watched: Watched): boolean {
    return !this.#closed && this.#watched.get(watched.host.service)?.get(watched.host.slot) === watched;
  }

  async #ask(watched: Watched): Promise<void> {
    const { host } = watched;
    const checks = this.#checks.get(host.service);
    if (checks === undefined || !this.#isWatched(watched)) return;
    const question = questionFor(host, checks, this.#deps.hosts.of(host.service));
    this.#asking++;
    const { problem } = question === null ? { problem: `it has no port ${checks.settings.port}` } : await this.#deps.probe.ask(question);
    this.#asking--;
    this.#waiting.shift()?.();
    // As it is now: an answer that comes after an edit is judged by what was edited.
    const now = this.#checks.get(host.service);
    if (now === undefined || !this.#isWatched(watched)) return;
    this.#judge(watched, now, problem);
    const { intervalMs, jitter } = now.settings;
    this.#arm(watched, intervalMs * (1 + jitter * (2 * this.#deps.random.next() - 1)));
  }

  #judge(watched: Watched, checks: ServiceChecks, problem: string): void {
    const { machine, host } = watched;
    watched.problem = problem;
    const before = machine.health;
    const changed = machine.answer(problem === '', checks.settings);
    // Each time: whether it is only shadow may have changed.
    this.#deps.hosts.states.setHealth(host.slot, checks.shadow ? hostHealth.unchecked : machine.health);
    if (!changed) return;
    const unhealthy = machine.health === hostHealth.unhealthy;
    if (!checks.shadow && !unhealthy && before === hostHealth.unhealthy) this.#endEjection(host);
    if (before === hostHealth.unchecked && !unhealthy) return;
    const [field, detail] = unhealthy
      ? ['/unhealthyThreshold', `${machine.inARow} checks in a row failed: ${problem}`]
      : ['/healthyThreshold', `${machine.inARow} checks in a row were good`];
    this.#tell(host, checks.shadow && unhealthy ? 'would-be-unhealthy' : unhealthy ? 'unhealthy' : 'healthy', detail, 0, checks.policyBehind(field), field);
  }

  #endEjection({ slot, service, address }: KnownHost): void {
    const { hosts, record, clock } = this.#deps;
    if (hosts.states.ejectedUntil(slot) <= clock.monotonicMs()) return;
    hosts.states.setEjectedUntil(slot, 0);
    record.add({ kind: 'outlierDetection', event: 'returned', service, host: address, pointer: '', policy: '', detail: 'checks find it well again', untilMs: 0 });
  }

  #tell({ service, address }: KnownHost, event: string, detail: string, untilMs: number, policy = '', pointer = ''): void {
    this.#deps.record.add({ kind: 'healthCheck', event, service, host: address, pointer, policy, detail, untilMs });
  }
}

/** A host that is new is asked within this, and not all of them in the same moment. */
const firstWithinMs = 500;
