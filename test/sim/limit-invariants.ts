/** What a limit of the fleet promises. */
export interface LimitTerms {
  /** Windows that begin anew, a bucket that refills all the time, or a number that is used up once. */
  readonly counting: 'window' | 'bucket' | 'total';
  readonly requests: number;
  /** 0 of a total. */
  readonly perMs: number;
  /** Of a bucket: what it holds. */
  readonly burst: number;
  /** What leases may let in beyond, over any span. */
  readonly leased: number;
  /** The longest from the store's count to the request that passes. */
  readonly lateMs: number;
}

interface Admission {
  readonly askedMs: number;
  readonly passedMs: number;
}

/** What holds of a limit that many sidecars count together, whatever their store does, where onStoreFailure is closed. */
export class LimitInvariants {
  readonly violations: string[] = [];
  admitted = 0;
  readonly #terms: LimitTerms;
  readonly #admissions: Admission[] = [];

  constructor(terms: LimitTerms) {
    this.#terms = terms;
  }

  /** A request came, and passed: at once, or when the store had answered. Told in the order of passing. */
  passed(askedMs: number, passedMs: number): void {
    this.admitted += 1;
    this.#admissions.push({ askedMs, passedMs });
  }

  /** After the run: not too much, over any span. `lost`: of a total, what was surely counted and not used. */
  noneBeyond(lost = 0): void {
    switch (this.#terms.counting) {
      case 'window': return this.#windows();
      case 'bucket': return this.#spans();
      case 'total': {
        const most = this.#terms.requests - lost;
        if (this.admitted > most) this.violations.push(`${this.admitted} passed in all, and ${most} may`);
      }
    }
  }

  /** All is well again, and more is wanted than may pass: so much does, but for `share` of it. */
  allAgain(fromMs: number, share: number): void {
    const { requests, perMs } = this.#terms;
    const passed = this.#admissions.filter(({ passedMs }) => passedMs >= fromMs && passedMs < fromMs + perMs).length;
    if (passed < Math.floor(requests * (1 - share))) this.violations.push(`${passed} of ${requests} pass when all is well again`);
  }

  /** Of a total, when nobody gets through any more: what did not pass is what was lost on the way or with those who crashed. */
  noneLost(lost: number): void {
    const missing = this.#terms.requests - this.admitted;
    if (missing > lost) this.violations.push(`${missing} are missing, and ${lost} may be`);
  }

  /** Who came in one window and passed in the next may be counted in either. */
  #windows(): void {
    const { requests, perMs, leased } = this.#terms;
    const counts = new Map<number, number>();
    for (const { askedMs, passedMs } of this.#admissions) {
      const window = Math.floor(passedMs / perMs);
      if (Math.floor(askedMs / perMs) === window) counts.set(window, (counts.get(window) ?? 0) + 1);
    }
    for (const count of counts.values()) if (count > requests + leased) this.violations.push(`${count} passed in a window, and ${requests + leased} may`);
  }

  /** Two more: what is given back may have flowed in as well, and instants are rounded. */
  #spans(): void {
    const { requests, perMs, burst, leased, lateMs } = this.#terms;
    const rate = requests / perMs;
    const most = burst + leased + rate * lateMs + 2;
    let least = Number.POSITIVE_INFINITY;
    let worst = 0;
    for (const [nth, { passedMs }] of this.#admissions.entries()) {
      least = Math.min(least, nth - rate * passedMs);
      worst = Math.max(worst, nth + 1 - rate * passedMs - least);
    }
    if (worst > most) this.violations.push(`${Math.ceil(worst)} passed beyond what flows in, and ${Math.floor(most)} may`);
  }
}
