/**
 * How many retries a destination may get, so that they cannot turn a failure into an overload: as many at a time as a
 * share of the live requests, and a small number per second beside that, so that quiet services retry too. What is not used
 * of that number is kept for 10 s: an instance that dies takes several calls at once with it, seldom one per third of a
 * second (the reserve of Finagle's and Linkerd's RetryBudget, `minRetriesPerSecond` times `ttl`). Pure: time is given, in
 * monotonic milliseconds.
 */
export class RetryBudget {
  readonly #ratio: number;
  readonly #minPerSecond: number;
  readonly #tokensMax: number;
  #live = 0;
  #retrying = 0;
  #tokens: number;
  #filledAt = 0;

  constructor(options: { readonly ratio: number; readonly minPerSecond: number }) {
    this.#ratio = options.ratio;
    this.#minPerSecond = options.minPerSecond;
    this.#tokensMax = options.minPerSecond * keptSeconds;
    this.#tokens = this.#tokensMax;
  }

  get live(): number {
    return this.#live;
  }

  /** A request begins; `ended` must follow, once. */
  began(): void {
    this.#live += 1;
  }

  ended(): void {
    this.#live -= 1;
  }

  /** Asks for one retry, counted from now, its backoff included. `returned` must follow a granted one, once. */
  take(nowMs: number): boolean {
    if (this.#retrying + 1 > this.#live * this.#ratio && !this.#takeToken(nowMs)) return false;
    this.#retrying += 1;
    return true;
  }

  returned(): void {
    this.#retrying -= 1;
  }

  #takeToken(nowMs: number): boolean {
    const gained = Math.max(0, nowMs - this.#filledAt) * this.#minPerSecond / 1000;
    this.#tokens = Math.min(this.#tokensMax, this.#tokens + gained);
    this.#filledAt = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** How long an unused retry of `minPerSecond` is kept. */
const keptSeconds = 10;
