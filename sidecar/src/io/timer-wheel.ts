import type { Clock, Timers } from '@remora/core/clock';

/**
 * A timer that is part of the object it belongs to: arming and cancelling link and unlink it, nothing is allocated. Owners extend it
 * and implement `fire`.
 */
export abstract class WheelNode {
  wheelNext: WheelNode | null = null;
  wheelPrevious: WheelNode | null = null;
  wheelRounds = 0;

  abstract fire(): void;
}

/**
 * Timers of a data thread: 4 ms × 256 for what is near, 128 ms × 512 with rounds for the rest. A timer fires at its time or up to one slot
 * later, never before. The event loop is only woken for slots that have something in them: a connection that idles for a minute costs one wakeup.
 */
export class TimerWheels {
  readonly #clock: Clock;
  readonly #near: Wheel;
  readonly #far: Wheel;

  /** `endTurn` runs after each batch of timers: see turn.ts. */
  constructor(clock: Clock, timers: Timers, endTurn: () => void) {
    this.#clock = clock;
    this.#near = new Wheel({ slotMs: 4, slots: 256 }, clock, timers, endTurn);
    this.#far = new Wheel({ slotMs: 128, slots: 512 }, clock, timers, endTurn);
  }

  /** Fires once after `delayMs`; arms again where it is armed already. */
  arm(node: WheelNode, delayMs: number): void {
    this.armFrom(this.#clock.monotonicMs(), node, delayMs);
  }

  /** Fires once `delayMs` after `now`, an instant of this turn: for those that have looked at the clock. */
  armFrom(now: number, node: WheelNode, delayMs: number): void {
    if (node.wheelNext !== null) unlink(node);
    if (delayMs < nearMs) this.#near.add(node, now, delayMs);
    else this.#far.add(node, now, delayMs);
  }

  cancel(node: WheelNode): void {
    if (node.wheelNext !== null) unlink(node);
  }

  isArmed(node: WheelNode): boolean {
    return node.wheelNext !== null;
  }

  /** Timers that are armed: for `describe` and for tests on leaks. */
  get size(): number {
    return this.#near.size + this.#far.size;
  }

  /** Stops waking the event loop. */
  close(): void {
    this.#near.close();
    this.#far.close();
  }
}

/** Timers that come this late come after a stall. */
const stallMs = 20;

/** Timers that fire before sockets are looked at again: some of them answer a request and close its connection, a tenth of a millisecond each. */
export const firesPerRun = 16;

/** Just under one turn of the near wheel. */
const nearMs = 1000;

function unlink(node: WheelNode): void {
  const previous = node.wheelPrevious as WheelNode;
  const next = node.wheelNext as WheelNode;
  previous.wheelNext = next;
  next.wheelPrevious = previous;
  node.wheelNext = null;
  node.wheelPrevious = null;
}

/** Head of a slot's ring. */
class Slot extends WheelNode {
  constructor() {
    super();
    this.wheelNext = this;
    this.wheelPrevious = this;
  }

  get empty(): boolean {
    return this.wheelNext === this;
  }

  fire(): void {}
}

class Wheel {
  readonly #slotMs: number;
  readonly #slots: readonly Slot[];
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #endTurn: () => void;
  readonly #due = new Slot();
  /** Ticks since the start that have been run. */
  #ticks = 0;
  #waking: { cancel(): void } | null = null;
  /** The tick that the loop is woken for; 0 while slots run. */
  #wakeTick = 0;

  constructor(shape: { slotMs: number; slots: number }, clock: Clock, timers: Timers, endTurn: () => void) {
    this.#slotMs = shape.slotMs;
    this.#slots = Array.from({ length: shape.slots }, () => new Slot());
    this.#clock = clock;
    this.#timers = timers;
    this.#endTurn = endTurn;
  }

  add(node: WheelNode, now: number, delayMs: number): void {
    if (this.#waking === null) this.#ticks = Math.floor(now / this.#slotMs);
    const due = Math.max(this.#ticks + 1, Math.ceil((now + Math.max(0, delayMs)) / this.#slotMs));
    node.wheelRounds = Math.floor((due - this.#ticks - 1) / this.#slots.length);
    append(node, this.#slots[due % this.#slots.length] as Slot);
    if (this.#waking === null) this.#wake(due);
    else if (due < this.#wakeTick) this.#wakeEarlier(due);
  }

  get size(): number {
    let size = 0;
    for (const slot of [...this.#slots, this.#due]) for (let node = slot.wheelNext; node !== slot && node !== null; node = node.wheelNext) size++;
    return size;
  }

  close(): void {
    this.#waking?.cancel();
    this.#waking = null;
  }

  #wake(tick: number): void {
    this.#wakeTick = tick;
    this.#waking = this.#timers.after(Math.max(1, tick * this.#slotMs - this.#clock.monotonicMs()), () => this.#awake());
  }

  /** Rare under load: the loop has then been told of something early, which stays true when that is cancelled. */
  #wakeEarlier(tick: number): void {
    this.#waking?.cancel();
    this.#wake(tick);
  }

  /**
   * After a stall the loop runs its timers before it reads its sockets. What waits there may be what a timer waits for, so it is read first: a
   * peer is not to blame that this thread did not look.
   */
  #awake(): void {
    if (this.#clock.monotonicMs() - this.#wakeTick * this.#slotMs < stallMs) this.#run();
    else this.#runSoon();
  }

  /** Behind the sockets that are ready. */
  #runSoon(): void {
    const immediate = setImmediate(() => this.#run());
    this.#waking = { cancel: () => clearImmediate(immediate) };
  }

  #run(): void {
    // What fires may arm others: when to wake is decided behind all of them.
    this.#wakeTick = 0;
    const now = Math.floor(this.#clock.monotonicMs() / this.#slotMs);
    // After a long stall one turn of the wheel passes every slot; rounds are then counted per turn.
    while (this.#ticks < now) {
      this.#ticks++;
      this.#collect(this.#slots[this.#ticks % this.#slots.length] as Slot);
    }
    this.#fireDue();
    this.#endTurn();
    const next = this.#nextTick();
    if (!this.#due.empty) this.#runSoon();
    else if (next < 0) this.#waking = null;
    else this.#wake(next);
  }

  /** Of the next slot with something in it; -1 where there is none. */
  #nextTick(): number {
    const { length } = this.#slots;
    for (let tick = this.#ticks + 1; tick <= this.#ticks + length; tick++) if (!(this.#slots[tick % length] as Slot).empty) return tick;
    return -1;
  }

  /** Due timers first leave the ring, then fire: firing may arm, cancel or re-arm any other. */
  #collect(slot: Slot): void {
    let node = slot.wheelNext as WheelNode;
    while (node !== slot) {
      const next = node.wheelNext as WheelNode;
      if (node.wheelRounds > 0) node.wheelRounds--;
      else move(node, this.#due);
      node = next;
    }
  }

  /** A few: hundreds of clients that are too slow were connected in the same moment, and those who are not shall not wait until all of them are told. */
  #fireDue(): void {
    for (let fired = 0; fired < firesPerRun && !this.#due.empty; fired++) {
      const first = this.#due.wheelNext as WheelNode;
      unlink(first);
      first.fire();
    }
  }
}

function move(node: WheelNode, ring: Slot): void {
  unlink(node);
  append(node, ring);
}

function append(node: WheelNode, ring: Slot): void {
  const last = ring.wheelPrevious as WheelNode;
  node.wheelPrevious = last;
  node.wheelNext = ring;
  last.wheelNext = node;
  ring.wheelPrevious = node;
}
