import { hostHealth, type HostHealth } from '@remora/policy-kit/host-states';

/** How hosts are checked from some moment on. */
export interface CheckTerms {
  /** Off: nobody is asked. In shadow: hosts are asked, and nothing is held against them. */
  readonly mode: 'off' | 'shadow' | 'enforce';
  readonly intervalMs: number;
  readonly jitter: number;
  readonly timeoutMs: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
}

interface Seen {
  /** Since when it is checked without a break, as a number: answers to questions of before count for nothing. */
  readonly epoch: number;
  asking: boolean;
  /** Since when it could be asked, or the last answer came; and how long it may be until the next question. */
  idleSinceMs: number;
  latestMs: number;
  soonestMs: number;
  answers: number;
  good: boolean;
  inARow: number;
  /** Answers since its terms were others: until the first one what was decided by the ones before may stay. */
  sinceChange: number;
  health: HostHealth;
}

/** The longest wait for the first question to a host. */
const firstWithinMs = 500;
/** Between two looks. */
const slackMs = 50;

/** What holds of active checks, whatever hosts answer: who is asked and when, and what is concluded from it. */
export class CheckInvariants {
  readonly violations: string[] = [];
  asked = 0;
  changes = 0;
  #terms: CheckTerms;
  readonly #hosts = new Map<string, Seen>();
  #epoch = 0;

  constructor(terms: CheckTerms) {
    this.#terms = terms;
  }

  change(terms: CheckTerms, nowMs: number): void {
    const { mode } = this.#terms;
    this.#terms = terms;
    for (const [host, seen] of this.#hosts) {
      seen.sinceChange = 0;
      // Whoever is not checked any more begins anew.
      if (mode === 'off' || terms.mode === 'off') this.#hosts.set(host, this.#fresh(nowMs));
    }
  }

  came(host: string, nowMs: number): void {
    this.#hosts.set(host, this.#fresh(nowMs));
  }

  gone(host: string): void {
    this.#hosts.delete(host);
  }

  /** Answers what `answer` is to be told. */
  question(host: string, nowMs: number): number {
    this.asked += 1;
    const seen = this.#hosts.get(host);
    if (seen === undefined) {
      this.#violate(`${host} is asked, and is not there`);
      return 0;
    }
    if (this.#terms.mode === 'off') this.#violate(`${host} is asked, and nobody is to be checked`);
    if (seen.asking) this.#violate(`${host} is asked while it is being asked`);
    if (nowMs - seen.idleSinceMs < seen.soonestMs - 1) this.#violate(`${host} is asked ${Math.round(nowMs - seen.idleSinceMs)} ms after its answer, and at the soonest it may be after ${Math.round(seen.soonestMs)}`);
    seen.asking = true;
    return seen.epoch;
  }

  /** Before whoever asked has concluded anything from it. */
  answer(host: string, asked: number, good: boolean, nowMs: number): void {
    const seen = this.#hosts.get(host);
    if (seen?.epoch !== asked) return;
    seen.asking = false;
    const { intervalMs, jitter } = this.#terms;
    Object.assign(seen, { idleSinceMs: nowMs, latestMs: intervalMs * (1 + jitter), soonestMs: intervalMs * (1 - jitter) });
    seen.inARow = seen.answers > 0 && seen.good === good ? seen.inARow + 1 : 1;
    seen.good = good;
    seen.answers += 1;
    seen.sinceChange += 1;
  }

  /** When everything that came has been concluded from. */
  look(host: string, { health, ejected }: { readonly health: HostHealth; readonly ejected: boolean }, nowMs: number): void {
    const seen = this.#hosts.get(host);
    if (seen === undefined) return;
    if (seen.health !== health) this.#changed(host, seen, health, ejected);
    this.#overdue(host, seen, nowMs);
    const { mode, unhealthyThreshold, healthyThreshold } = this.#terms;
    if (mode === 'off' && health !== hostHealth.unchecked) this.#violate(`${host} is ${nameOf(health)}, and nobody checks it`);
    if (seen.sinceChange === 0) return;
    if (mode === 'shadow' && health !== hostHealth.unchecked) this.#violate(`${host} is ${nameOf(health)}, and its checks are in shadow`);
    if (mode !== 'enforce') return;
    if (!seen.good && seen.inARow >= unhealthyThreshold && health !== hostHealth.unhealthy) this.#violate(`${host} failed ${seen.inARow} times in a row and is ${nameOf(health)}; ${unhealthyThreshold} are enough`);
    if (seen.good && seen.inARow >= healthyThreshold && health !== hostHealth.healthy) this.#violate(`${host} was well ${seen.inARow} times in a row and is ${nameOf(health)}; ${healthyThreshold} are enough`);
  }

  #changed(host: string, seen: Seen, health: HostHealth, ejected: boolean): void {
    this.changes += 1;
    const before = seen.health;
    seen.health = health;
    const { mode, unhealthyThreshold, healthyThreshold } = this.#terms;
    if (health === hostHealth.unchecked) {
      if (mode === 'enforce') this.#violate(`${host} was ${nameOf(before)} and is forgotten, though it is checked`);
      return;
    }
    if (seen.answers === 0) this.#violate(`${host} is ${nameOf(health)}, and has answered nothing yet`);
    // What was found in shadow counts as soon as checks are enforced.
    if (health === hostHealth.unhealthy && (seen.good || seen.inARow < unhealthyThreshold) && before !== hostHealth.unchecked) this.#violate(`${host} is unhealthy after ${seen.good ? 'a good answer' : `${seen.inARow} failures`}; it takes ${unhealthyThreshold}`);
    if (health === hostHealth.healthy && before === hostHealth.unhealthy) {
      if (!seen.good || seen.inARow < healthyThreshold) this.#violate(`${host} is well again after ${seen.good ? `${seen.inARow} good answers` : 'a failure'}; it takes ${healthyThreshold}`);
      if (ejected) this.#violate(`${host} is well again and still ejected`);
    }
  }

  #fresh(nowMs: number): Seen {
    return { epoch: ++this.#epoch, asking: false, idleSinceMs: nowMs, latestMs: Math.min(firstWithinMs, this.#terms.intervalMs), soonestMs: 0, answers: 0, good: false, inARow: 0, sinceChange: 0, health: hostHealth.unchecked };
  }

  #overdue(host: string, { asking, idleSinceMs, latestMs }: Seen, nowMs: number): void {
    if (this.#terms.mode === 'off' || asking) return;
    if (nowMs - idleSinceMs > latestMs + slackMs) this.#violate(`${host} was not asked for ${Math.round(nowMs - idleSinceMs)} ms; at the latest it should be after ${Math.round(latestMs)}`);
  }

  #violate(what: string): void {
    if (this.violations.length < 100) this.violations.push(what);
  }
}

function nameOf(health: HostHealth): string {
  return health === hostHealth.unchecked ? 'unchecked' : health === hostHealth.healthy ? 'healthy' : 'unhealthy';
}
