/** A revision of the Route that a canary moves. Percent. */
export interface CanaryWrite {
  readonly byCanary: boolean;
  readonly candidate: number;
  readonly stable: number;
}

/** Figures older than this are none. */
const staleMs = 30_000;
/** From a report until what follows from it is written, and from a step until it is measured. */
const slackMs = 3_000;
/** So many requests of the candidate are enough to judge it by, however little of them was kept over a crash. */
const plenty = 200;

/** What holds of a canary's revisions, whatever dies and whatever callers report. */
export class CanaryInvariants {
  readonly violations: string[] = [];
  /** Revisions by canaries, and those of them that ended one. */
  moves = 0;
  ends = 0;
  readonly #steps: readonly number[];
  readonly #minRequests: number;
  /** Index of the step in force; 0: there is none. */
  #at = 0;
  #wroteAt = Number.NEGATIVE_INFINITY;
  /** What a canary wrote last; null: none has. */
  #left: Omit<CanaryWrite, 'byCanary'> | null = null;
  /** The same where somebody else has changed the Route since; else null. */
  #beforeEdit: Omit<CanaryWrite, 'byCanary'> | null = null;
  /** Since the last revision: somebody said to go on whatever is missing; requests of the candidate; when they began to fail. */
  #promoted = false;
  #requests = 0;
  #failingAt: number | null = null;
  #reportedAt = Number.NEGATIVE_INFINITY;

  /** `steps`: percent of the candidate, in order, without the last. */
  constructor(steps: readonly number[], minRequests: number) {
    this.#steps = [0, ...steps, 100];
    this.#minRequests = minRequests;
  }

  /** What callers tell the control plane of the candidate. */
  reported({ requests, failed }: { readonly requests: number; readonly failed: number }, nowMs: number): void {
    this.#reportedAt = nowMs;
    this.#requests += requests;
    if (failed > 0 && nowMs - this.#wroteAt > slackMs) this.#failingAt ??= nowMs;
  }

  promoted(): void {
    this.#promoted = true;
  }

  /** The control plane died, and with it what it was told last. */
  crashed(): void {
    this.#failingAt = null;
  }

  wrote({ byCanary, candidate, stable }: CanaryWrite, nowMs: number): void {
    const step = this.#steps.indexOf(candidate);
    if (!byCanary && this.#at > 0) this.violations.push('somebody else changed the Route of a canary that runs');
    if (byCanary) this.#moved(step, { candidate, stable }, nowMs);
    this.#at = byCanary && step > 0 && candidate < 100 ? step : 0;
    if (byCanary) this.#left = { candidate, stable };
    this.#beforeEdit = byCanary ? null : this.#left;
    this.#wroteAt = nowMs;
    this.#promoted = false;
    this.#requests = 0;
    this.#failingAt = null;
  }

  /** In the end, with the weights that the Route has. Once a canary has ended its Route is everybody's: after an edit of somebody else, what it wrote last counts. */
  ended(phase: 'completed' | 'aborted' | 'failed', route: Omit<CanaryWrite, 'byCanary'>): string[] {
    const { candidate, stable } = phase === 'completed' ? (this.#beforeEdit ?? route) : route;
    const wanted = phase === 'completed' ? 100 : 0;
    return candidate === wanted && stable === 100 - wanted ? [] : [`a canary is ${phase}, and ${candidate} % go to its candidate`];
  }

  #moved(step: number, { candidate, stable }: Omit<CanaryWrite, 'byCanary'>, nowMs: number): void {
    this.moves += 1;
    if (step === 0 || candidate === 100) this.ends += 1;
    const before = this.#steps[this.#at];
    if (step < 0 || candidate + stable !== 100) this.violations.push(`a canary wrote ${stable} and ${candidate} %, which is no step of it`);
    else if (step > this.#at + 1) this.violations.push(`a canary went from ${before} to ${candidate} % at once`);
    else if (step < this.#at && step !== 0) this.violations.push(`a canary went back from ${before} to ${candidate} %`);
    else if (step > 1 && step > this.#at) this.#advanced(candidate, nowMs);
  }

  #advanced(candidate: number, nowMs: number): void {
    const ageMs = Math.round(nowMs - this.#reportedAt);
    if (this.#failingAt !== null && nowMs - this.#failingAt > slackMs && this.#requests > plenty) this.violations.push(`a canary went on to ${candidate} % although the candidate fails`);
    if (this.#promoted) return;
    if (this.#requests < this.#minRequests) this.violations.push(`a canary went on to ${candidate} % after ${this.#requests} requests`);
    if (ageMs > staleMs + slackMs) this.violations.push(`a canary went on to ${candidate} % although nobody had reported for ${ageMs} ms`);
  }
}
