import { lowerWord, type AtomicWords } from '@remora/policy-kit/atomic-words';
import type { Random } from '@remora/core/random';
import { breakerStates, epochOf, msUntil, opensMax, opensOf, packWord, stateOf, ticketIn, tickOf, untilTickIn, type BreakerState } from './breaker-word.ts';
import { CallWindow, type CallEnd, type WindowSums } from './call-window.ts';
import { TaggedCount } from './tagged-count.ts';
import { TimeWindow, type WindowRows } from './time-window.ts';
import type { MachineSettings } from './wire.ts';

/** Where the machine stands in memory. */
export interface MachinePlace {
  readonly words: AtomicWords;
  /** Rows of the threads, `BreakerMachine.rowWords` each; used by windows of time. */
  readonly rows: WindowRows;
}

/** A change of state, told by the thread that made it. */
export interface BreakerChange {
  readonly event: 'opened' | 'half-open' | 'closed';
  readonly pointer: string;
  readonly detail: string;
  /** From now; 0: it does not end by itself. */
  readonly forMs: number;
}

/** Instead of a ticket: the call may not go. */
export const noTicket = -1;

/**
 * A circuit breaker: closed, open, half-open. Its state is one word that all threads see; each change of it is made by exactly one of them. A call that is let
 * through has a ticket, and reports its end with it; what calls of an earlier state report counts for nothing. Pure: time and randomness are given.
 */
export class BreakerMachine {
  readonly #settings: MachineSettings;
  readonly #words: AtomicWords;
  readonly #inARow: TaggedCount;
  readonly #permits: TaggedCount;
  readonly #successes: TaggedCount;
  readonly #calls: CallWindow | null;
  readonly #time: TimeWindow | null;
  /** The last change, for who made it. */
  change: BreakerChange | null = null;
  /** Of the last refusal: when to ask again. */
  retryInMs = 0;

  constructor(settings: MachineSettings, { words, rows }: MachinePlace) {
    this.#settings = settings;
    this.#words = words;
    this.#inARow = new TaggedCount(words, inARowAt, ticketAt);
    this.#permits = new TaggedCount(words, permitsAt, ticketAt);
    this.#successes = new TaggedCount(words, successesAt, ticketAt);
    const byRate = settings.failureRate > 0 || settings.slowCallRate > 0;
    this.#calls = byRate && settings.windowCalls > 0 ? new CallWindow(words, windowAt, settings.windowCalls) : null;
    this.#time = byRate && settings.windowMs > 0 ? new TimeWindow(words, rows, settings.windowMs) : null;
  }

  /** Words before the rows of threads; even. */
  static commonWords({ windowCalls }: Pick<MachineSettings, 'windowCalls'>): number {
    return 2 * Math.ceil((windowAt + CallWindow.words(windowCalls)) / 2);
  }

  static readonly rowWords: number = TimeWindow.rowWords;

  get state(): BreakerState {
    return stateOf(this.#words.load(ticketAt));
  }

  /** A ticket, or `noTicket`. Look at `change` afterwards. */
  admit(nowMs: number): number {
    this.change = null;
    for (;;) {
      const ticket = this.#words.load(ticketAt);
      if (stateOf(ticket) === breakerStates.closed) return ticket;
      const word = this.#words.loadPair(wordAt);
      if (ticketIn(word) !== ticket) continue;
      const leftMs = msUntil(untilTickIn(word), nowMs);
      if (leftMs === 0) {
        this.#tryOut(word, nowMs);
        continue;
      }
      if (stateOf(ticket) === breakerStates.open) return this.#refuse(leftMs);
      const probes = this.#permits.increment(ticket, this.#settings.probes);
      if (probes > 0) return ticket;
      if (probes === 0) return this.#refuse(Math.min(leftMs, this.#settings.openBaseMs));
    }
  }

  /** The call with this ticket has ended; null: in a way that says nothing. Look at `change` afterwards. */
  ended(ticket: number, end: CallEnd | null, nowMs: number, random: Random): void {
    this.change = null;
    if (this.#words.load(ticketAt) !== ticket) return;
    if (stateOf(ticket) === breakerStates.halfOpen) this.#probeEnded(ticket, end, nowMs, random);
    else if (end !== null) this.#callEnded(ticket, end, nowMs, random);
  }

  /** Somebody says so. True: it was not closed. */
  close(): boolean {
    this.change = null;
    for (;;) {
      const word = this.#words.loadPair(wordAt);
      if (stateOf(ticketIn(word)) === breakerStates.closed) return false;
      if (this.#move(word, breakerStates.closed, 0, 0)) return true;
    }
  }

  // --- closed -----------------------------------------------------------------------------------------------------

  #callEnded(ticket: number, end: CallEnd, nowMs: number, random: Random): void {
    const { consecutiveFailures } = this.#settings;
    if (consecutiveFailures > 0) {
      if (!end.failed) this.#inARow.clear(ticket);
      else if (this.#isLastInARow(ticket, consecutiveFailures)) {
        this.#open(ticket, '/consecutiveFailures', `consecutive failures, ${consecutiveFailures} of ${consecutiveFailures}`, nowMs, random);
        return;
      }
    }
    const sums = this.#calls?.add(ticket, end) ?? this.#time?.add(ticket, end, nowMs) ?? null;
    if (sums !== null && sums.calls >= this.#settings.minimumCalls) this.#judge(ticket, sums, nowMs, random);
  }

  /** Or one more: a thread that counted the last one may have died before it could open. */
  #isLastInARow(ticket: number, max: number): boolean {
    const count = this.#inARow.increment(ticket, max);
    return count === max || count === 0;
  }

  #judge(ticket: number, { calls, failures, slow }: WindowSums, nowMs: number, random: Random): void {
    const { failureRate, slowCallRate, slowCallMs } = this.#settings;
    if (failureRate > 0 && failures >= calls * failureRate) {
      this.#open(ticket, '/failureRate', `${failures} of ${calls} calls failed, ${percent(failureRate)} open it`, nowMs, random);
    } else if (slowCallRate > 0 && slow >= calls * slowCallRate) {
      this.#open(ticket, '/slowCallRate', `${slow} of ${calls} calls took ${slowCallMs} ms and longer, ${percent(slowCallRate)} open it`, nowMs, random);
    }
  }

  // --- half-open --------------------------------------------------------------------------------------------------

  #probeEnded(ticket: number, end: CallEnd | null, nowMs: number, random: Random): void {
    if (end === null) {
      this.#permits.decrement(ticket);
      return;
    }
    if (end.failed || (end.slow && this.#settings.slowCallRate > 0)) {
      this.#open(ticket, '/halfOpen', end.failed ? 'a probe failed' : 'a probe was slow', nowMs, random);
      return;
    }
    const { successes } = this.#settings;
    if (this.#successes.increment(ticket, successes) === successes) this.#close(ticket);
    else this.#permits.decrement(ticket);
  }

  #close(ticket: number): void {
    const word = this.#words.loadPair(wordAt);
    if (ticketIn(word) !== ticket || !this.#move(word, breakerStates.closed, 0, 0)) return;
    this.change = { event: 'closed', pointer: '/halfOpen/successes', detail: `${this.#settings.successes} probes succeeded`, forMs: 0 };
  }

  /** Its time is over: probes go out, or others in place of those that never came back. */
  #tryOut(word: bigint, nowMs: number): void {
    const ticket = ticketIn(word);
    const { probePatienceMs, probes } = this.#settings;
    if (!this.#move(word, breakerStates.halfOpen, opensOf(ticket), nowMs + probePatienceMs)) return;
    if (stateOf(ticket) === breakerStates.open) this.change = { event: 'half-open', pointer: '/halfOpen', detail: `${probes} at once may try it`, forMs: probePatienceMs };
  }

  // --- changes ----------------------------------------------------------------------------------------------------

  #open(ticket: number, pointer: string, why: string, nowMs: number, random: Random): void {
    const word = this.#words.loadPair(wordAt);
    if (ticketIn(word) !== ticket) return;
    const opens = Math.min(opensOf(ticket) + 1, opensMax);
    const forMs = openMs(opens, this.#settings, random);
    if (this.#move(word, breakerStates.open, opens, nowMs + forMs)) this.change = { event: 'opened', pointer, detail: why, forMs };
  }

  #move(from: bigint, state: BreakerState, opens: number, untilMs: number): boolean {
    const to = packWord({ state, opens, epoch: epochOf(ticketIn(from)) + 1, untilTick: untilMs === 0 ? 0 : tickOf(untilMs) });
    return this.#words.compareExchangePair(wordAt, from, to) === from;
  }

  #refuse(retryInMs: number): number {
    this.retryInMs = retryInMs;
    return noTicket;
  }
}

/** How long the `opens`th opening in a row lasts: twice as long each time, up to the longest, and a random share longer. */
export function openMs(opens: number, { openBaseMs, openMaxMs, openJitter }: Pick<MachineSettings, 'openBaseMs' | 'openMaxMs' | 'openJitter'>, random: Random): number {
  return Math.min(openMaxMs, openBaseMs * 2 ** (opens - 1)) * (1 + openJitter * random.next());
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

const wordAt = 0;
const ticketAt = lowerWord(wordAt);
const inARowAt = 2;
const permitsAt = 3;
const successesAt = 4;
const windowAt = 6;
