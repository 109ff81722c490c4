export interface HedgeTerms {
  /** No second try before. */
  readonly delayMs: number;
  /** Further tries for each call, and those of a quiet time. */
  readonly ratio: number;
  readonly minPerSecond: number;
}

/** One call as it ended. */
export interface EndedCall {
  readonly name: string;
  readonly idempotent: boolean;
  /** It is a retry of another hop. */
  readonly retried: boolean;
  readonly leftAtMs: number | null;
  /** `head 200`, `reset upstream-reset`; '' where the client has heard nothing. */
  readonly heard: string;
  readonly tries: readonly EndedTry[];
}

export interface EndedTry {
  readonly atMs: number;
  /** `200`, `503`, `reset`, `stopped`; '' where it is still under way. */
  readonly end: string;
  readonly endMs: number;
}

/** The reserve of a budget for quiet times. */
const reserveMs = 10_000;

/** What holds of second tries, whatever becomes of the tries. */
export class HedgeInvariants {
  readonly violations: string[] = [];
  calls = 0;
  hedged = 0;
  won = 0;
  readonly #terms: HedgeTerms;
  readonly #startedMs: number;

  constructor(terms: HedgeTerms, startedMs: number) {
    this.#terms = terms;
    this.#startedMs = startedMs;
  }

  ended(call: EndedCall): void {
    this.calls += 1;
    const { name, tries, heard, leftAtMs } = call;
    const [first, second, ...more] = tries;
    if (more.length > 0) this.#violate(`${name} is tried ${tries.length} times`);
    if (second !== undefined) this.#hedgedRightly(call, first, second);
    const abandoned = tries.filter(({ end }) => end === '').length;
    if (abandoned > 0) this.#violate(`${name} is over, and ${abandoned} of its tries go on`);
    if (leftAtMs !== null) return;
    const good = tries.some(({ end }) => end === '200');
    if (good && heard !== 'head 200') this.#violate(`${name} heard ${heard === '' ? 'nothing' : heard}, and one of its tries was answered well`);
    if (heard !== '' && heard !== 'head 200' && tries.some(({ end }) => end === 'stopped')) this.#violate(`${name} heard ${heard}, and its other try was given up`);
    if (!good && heard === '') this.#violate(`${name} heard nothing, and its tries ended with ${tries.map(({ end }) => end).join(', ')}`);
    if (second?.end === '200') this.won += 1;
  }

  /** `sent` calls so far, at this time. */
  budget(sent: number, nowMs: number): void {
    const { ratio, minPerSecond } = this.#terms;
    const most = sent * ratio + (minPerSecond * (nowMs - this.#startedMs + reserveMs)) / 1_000 + 1;
    if (this.hedged > most) this.#violate(`${this.hedged} calls of ${sent} are tried again, at most ${Math.floor(most)} may be`);
  }

  #hedgedRightly({ name, idempotent, retried, leftAtMs }: EndedCall, first: EndedTry | undefined, second: EndedTry): void {
    this.hedged += 1;
    const waited = second.atMs - (first?.atMs ?? 0);
    if (!idempotent) this.#violate(`${name} is tried a second time, and cannot be done twice`);
    if (retried) this.#violate(`${name} is tried a second time, and is a retry itself`);
    if (waited < this.#terms.delayMs) this.#violate(`${name} is tried a second time after ${waited} ms, and at the soonest it may be after ${this.#terms.delayMs}`);
    if (first !== undefined && first.end !== '' && first.endMs < second.atMs) this.#violate(`${name} is tried a second time after the first had ended with ${first.end}`);
    if (leftAtMs !== null && leftAtMs < second.atMs) this.#violate(`${name} is tried a second time after its client had left`);
  }

  #violate(what: string): void {
    if (this.violations.length < 100) this.violations.push(what);
  }
}
