export interface ConcurrencyTerms {
  readonly limitMin: number;
  readonly limitMax: number;
}

/** The limit is a third for the four windows of a probe. A window ends with an answer: of a service that answers nobody for a while, or is hardly asked, one can take seconds. */
const probeShare = 3;
const probeMaxMs = 12_000;

/** What holds of a limit that is found while a service is used, whatever becomes of the service. */
export class ConcurrencyInvariants {
  readonly violations: string[] = [];
  admitted = 0;
  shed = 0;
  readonly #terms: ConcurrencyTerms;
  #lowSinceMs: number | null = null;

  constructor(terms: ConcurrencyTerms) {
    this.#terms = terms;
  }

  /** A request was let in or shed. `limit`: before it; `underWay`: without it, as the requests themselves tell. */
  decided({ letIn, limit, underWay, nowMs }: { readonly letIn: boolean; readonly limit: number; readonly underWay: number; readonly nowMs: number }): void {
    if (letIn) this.admitted += 1;
    else this.shed += 1;
    if (letIn && underWay >= limit) this.violations.push(`a request is let in where ${underWay} are under way and the limit is ${limit}`);
    if (!letIn && underWay < limit) this.violations.push(`a request is shed where ${underWay} are under way and the limit is ${limit}`);
    this.#bounded(limit, nowMs);
  }

  /** When all has been well for long: what was answered, of what came, and at least should be. */
  goodput(answered: number, { offered, least }: { readonly offered: number; readonly least: number }): void {
    if (answered < least) this.violations.push(`${answered} of ${offered} requests were answered when all is well; at least ${Math.ceil(least)} should`);
  }

  #bounded(limit: number, nowMs: number): void {
    const { limitMin, limitMax } = this.#terms;
    const lowest = Math.max(1, Math.floor(limitMin / probeShare));
    if (limit > limitMax || limit < lowest) this.violations.push(`the limit is ${limit}, and may be from ${limitMin} to ${limitMax}, or ${lowest} in a probe`);
    if (limit >= limitMin) this.#lowSinceMs = null;
    else this.#lowSinceMs ??= nowMs;
    if (this.#lowSinceMs !== null && nowMs - this.#lowSinceMs > probeMaxMs) this.violations.push(`the limit is ${limit} for ${Math.round(nowMs - this.#lowSinceMs)} ms, and may not be below ${limitMin} for longer than a probe`);
  }
}
