import { reasons } from '@remora/errors/reason';
import type { MessageHead } from '@remora/http/message-head';
import { Exchange, HOLD, WAIT, type Answer, type EdgeFilter, type HeldBody, type Verdict } from '@remora/policy-kit/exchange';
import { noBody } from '@remora/policy-kit/no-body';
import { answerFor } from './answers.ts';
import type { BodyHold, HoldOwner } from './body-hold.ts';
import type { Engine } from './engine.ts';
import { filterSlots } from './filter-slots.ts';
import type { PlacePin } from '../generation/places.ts';

/** The way of an exchange through the filters of its pin: one after the other, with waits, and with the body held back where one wants to see it first. */
export abstract class FilteredExchange extends Exchange implements HoldOwner {
  declare head: MessageHead;
  declare pin: PlacePin;
  protected readonly engine: Engine;
  /** Filters whose `request` has run, or had none to run. */
  protected passed = 0;
  /** What is held of the request body, until it has gone upstream. */
  protected held: BodyHold | null = null;
  #waiting = false;

  constructor(engine: Engine) {
    super();
    this.engine = engine;
  }

  abstract get ended(): boolean;
  abstract refuse(answer: Answer): void;
  /** The filters have passed. */
  protected abstract filtersPassed(): void;
  /** Asks the client for its body. */
  protected abstract demandBody(): void;
  abstract playHeld(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  abstract playHeldTrailers(trailers: MessageHead): void;
  abstract resume(): void;

  /** Runs the filters of the pin, then what the route says. */
  begin(pin: PlacePin): void {
    this.pin = pin;
    this.slots = filterSlots(pin.slotCount);
    this.#runFilters(0);
  }

  #runFilters(from: number): void {
    const { filters } = this.pin;
    for (let i = from; i < filters.length; i++) {
      const filter = filters[i] as EdgeFilter;
      this.passed = i + 1;
      if (filter.request === undefined) continue;
      const verdict = this.engine.hooks.ask(filter, this);
      if (verdict === null) continue;
      if (verdict !== HOLD) {
        this.#settle(verdict);
        return;
      }
      if (!this.#holdFor(filter)) return;
    }
    this.filtersPassed();
  }

  #settle(verdict: Exclude<Verdict, null>): void {
    if (verdict === WAIT) this.#waiting = true;
    else this.refuse(verdict);
  }

  override proceed(token: number): void {
    if (!this.#wakes(token)) return;
    this.#runFilters(this.passed);
    this.engine.thread.turn.end();
  }

  override hold(token: number): void {
    if (!this.#wakes(token)) return;
    if (this.#holdFor(this.#lastAsked)) this.#runFilters(this.passed);
    this.engine.thread.turn.end();
  }

  #wakes(token: number): boolean {
    if (token !== this.token || !this.#waiting) return false;
    this.#waiting = false;
    this.token++;
    return true;
  }

  override answer(token: number, answer: Answer): void {
    if (token !== this.token || this.ended) return;
    this.#waiting = false;
    this.token++;
    this.refuse(answer);
    this.engine.thread.turn.end();
  }

  // --- with the body ----------------------------------------------------------------------------------------------

  get #lastAsked(): EdgeFilter {
    return this.pin.filters[this.passed - 1] as EdgeFilter;
  }

  /** True: the filter has had what it wants of the body, and passes. */
  #holdFor(filter: EdgeFilter): boolean {
    const { head } = this;
    // What follows a request to switch is no body.
    if (head.bodyLength === 0 || head.protocol !== '') return this.#askHolding(filter, noBody);
    this.held ??= this.engine.makeHold(this, head.bodyLength);
    if (!this.held.gather(filter.holdBytes ?? 0)) return this.#askHolding(filter, this.held);
    this.demandBody();
    return false;
  }

  #askHolding(filter: EdgeFilter, body: HeldBody): boolean {
    const verdict = this.engine.hooks.askHolding(filter, this, body);
    if (verdict === null) return true;
    this.#settle(verdict);
    return false;
  }

  /** As `Sink.data`, while the body is held back. */
  protected holdData(held: BodyHold, bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    const { gathering } = held;
    if (!held.add(bytes, at, to, end)) {
      this.refuse(answerFor(reasons.overload, 'too many request bodies are held back'));
      return true;
    }
    if (gathering && !held.gathering) this.#gathered(held);
    // Perhaps the next filter wants more. What is demanded otherwise is demanded later: never within this call.
    return held.gathering;
  }

  protected holdTrailers(held: BodyHold, trailers: MessageHead): void {
    const { gathering } = held;
    held.end(trailers);
    if (gathering) this.#gathered(held);
  }

  /** What the filter that was asked last waits for has come. */
  #gathered(held: BodyHold): void {
    if (this.#askHolding(this.#lastAsked, held)) this.#runFilters(this.passed);
  }

  heldPlayed(): void {
    this.held = null;
  }

  protected dropHeld(): void {
    this.held?.drop();
    this.held = null;
  }
}
