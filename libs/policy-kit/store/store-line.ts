import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { FactBook } from '../facts.ts';
import type { Questions } from '../questions.ts';
import type { FilterContext } from '../runtime-kind.ts';
import { StoreHealth } from './store-health.ts';
import { decodeAnswers, encodeAsks, storeFactKind, storeFactName, storeTopic, type StoreAnswer, type StoreAsk } from './store-questions.ts';

/** null: the store could not say anything. */
export type StoreAnswered = (answers: readonly (StoreAnswer | null)[] | null) => void;

/** The way of one data thread to the store of the Mesh: questions over the control thread, and a breaker, so that requests do not wait for a store that fails. */
export class StoreLine {
  readonly #questions: Questions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #facts: FactBook;
  readonly #health = new StoreHealth();
  #seen = -1;
  #deadlineMs = 0;

  constructor(context: Pick<FilterContext, 'questions' | 'clock' | 'random' | 'facts'>) {
    this.#questions = context.questions;
    this.#clock = context.clock;
    this.#random = context.random;
    this.#facts = context.facts(storeFactKind);
  }

  /** One for each data thread, whoever asks. */
  static of(context: FilterContext): StoreLine {
    let line = lines.get(context.questions);
    if (line === undefined) lines.set(context.questions, line = new StoreLine(context));
    return line;
  }

  /** The longest that a request waits; 0: no store is known. */
  get deadlineMs(): number {
    if (this.#facts.version !== this.#seen) {
      this.#seen = this.#facts.version;
      this.#deadlineMs = decodeStoreFact(this.#facts.get(storeFactName));
    }
    return this.#deadlineMs;
  }

  /** Whether a request may wait for the store. Where not, it is tried again meanwhile, and nobody waits for that. */
  mayAsk(): boolean {
    if (this.deadlineMs === 0) return false;
    if (!this.#health.open) return true;
    if (this.#health.shouldTry(this.#clock.monotonicMs())) this.#send([], () => {});
    return false;
  }

  /** `answered` is called once, in a later turn, perhaps long after the deadline. False: too many questions are under way. */
  ask(asks: readonly StoreAsk[], answered: StoreAnswered): boolean {
    return this.#send(asks, answered);
  }

  /** Nobody waits for it; where it does not arrive, the store counts too much. */
  giveBack(asks: readonly StoreAsk[]): void {
    for (let at = 0; at < asks.length && !this.#health.open; at += batchMax) this.#send(asks.slice(at, at + batchMax), () => {}, Number.POSITIVE_INFINITY);
  }

  /** A request waited until the deadline. */
  late(): void {
    this.#health.failed(this.#clock.monotonicMs(), this.#random.next());
  }

  #send(asks: readonly StoreAsk[], answered: StoreAnswered, lateMs = this.deadlineMs * lateFactor): boolean {
    const sentAt = this.#clock.monotonicMs();
    const sent = this.#questions.ask(storeTopic, encodeAsks(asks), (body) => {
      const answers = body === null ? null : decodeAnswers(body);
      const nowMs = this.#clock.monotonicMs();
      if (answers === null || (asks.length > 0 && nowMs - sentAt > lateMs)) this.#health.failed(nowMs, this.#random.next());
      else this.#health.succeeded();
      answered(answers);
    });
    if (!sent) this.#health.failed(sentAt, this.#random.next());
    return sent;
  }
}

const lines = new WeakMap<Questions, StoreLine>();
/** Of what is given back together. */
const batchMax = 256;
/** An answer that came so much after the deadline is none. */
const lateFactor = 2;

export function encodeStoreFact(deadlineMs: number): Uint8Array {
  return Buffer.from(JSON.stringify({ deadlineMs }));
}

function decodeStoreFact(body: Uint8Array | undefined): number {
  return body === undefined ? 0 : (JSON.parse(Buffer.from(body).toString()) as { readonly deadlineMs: number }).deadlineMs;
}
