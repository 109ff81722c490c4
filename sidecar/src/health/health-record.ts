import type { Clock } from '@remora/core/clock';
import { endingEvents, momentaryEvents } from '@remora/policy-kit/health-event';
import type { HealthReport, ReportedHealth } from '../records/health-batch.ts';

/** Something that this sidecar holds against a destination or one of its hosts, or against its own app. Times are Unix milliseconds. */
export interface HealthState {
  readonly kind: string;
  readonly event: string;
  readonly service: string;
  /** '' where it is about all hosts. */
  readonly host: string;
  readonly pointer: string;
  readonly policy: string;
  readonly detail: string;
  readonly sinceMs: number;
  /** 0: it does not end by itself. */
  readonly untilMs: number;
}

/**
 * What the caller's side decided about others: the states that hold now, and the last events. In the control thread; told by data threads and by the
 * checks of the control thread. Bounded: of more than 1,024 states the oldest are forgotten, and counted.
 */
export class HealthRecord {
  readonly #clock: Clock;
  readonly #onEvent: (state: HealthState) => void;
  /** By kind, service and host; in the order of their last event. */
  readonly #states = new Map<string, HealthState>();
  readonly #events: HealthState[] = [];
  #left = 0;
  /** Of `heldAgainst`, as of this change. */
  readonly #lists = new Map<string, readonly HealthState[]>();
  #listsOf = 0;
  #changes = 0;

  constructor(clock: Clock, onEvent: (state: HealthState) => void = () => {}) {
    this.#clock = clock;
    this.#onEvent = onEvent;
  }

  report({ events, dropped }: HealthReport): void {
    this.#left += dropped;
    for (const event of events) this.add(event);
  }

  add({ kind, event, service, host, pointer, policy, detail, untilMs }: ReportedHealth): void {
    const nowMs = this.#clock.wallMs();
    const ends = untilMs === 0 || !Number.isFinite(untilMs) ? 0 : Math.round(nowMs + untilMs - this.#clock.monotonicMs());
    const state = Object.freeze({ kind, event, service, host, pointer, policy, detail, sinceMs: nowMs, untilMs: ends });
    this.#events.push(state);
    if (this.#events.length > eventsMax) this.#events.shift();
    this.#onEvent(state);
    if (momentaryEvents.has(event)) return;
    this.#changes++;
    const key = `${kind}\0${service}\0${host}`;
    this.#states.delete(key);
    if (!endingEvents.has(event)) this.#hold(key, state);
  }

  #hold(key: string, state: HealthState): void {
    this.#states.set(key, state);
    if (this.#states.size <= statesMax) return;
    const [oldest] = this.#states.keys();
    if (oldest !== undefined) this.#states.delete(oldest);
    this.#left++;
  }

  /** What holds now, the oldest first. */
  current(): readonly HealthState[] {
    const nowMs = this.#clock.wallMs();
    for (const [key, { untilMs }] of this.#states) if (untilMs !== 0 && untilMs <= nowMs) this.#states.delete(key);
    return [...this.#states.values()];
  }

  /** What holds now against one service or some of its hosts, the newest first: at most 16. The same list until something changes. */
  heldAgainst(service: string): readonly HealthState[] {
    if (this.#listsOf !== this.#changes) {
      this.#lists.clear();
      this.#listsOf = this.#changes;
    }
    const known = this.#lists.get(service);
    const nowMs = this.#clock.wallMs();
    if (known !== undefined && known.every(({ untilMs }) => untilMs === 0 || untilMs > nowMs)) return known;
    const list = this.current().filter((state) => state.service === service).slice(-heldShownMax).reverse();
    if (this.#lists.size < listsMax) this.#lists.set(service, list);
    return list;
  }

  /** The last events, the newest first. */
  newest(limit: number): readonly HealthState[] {
    return this.#events.slice(-Math.min(limit, eventsMax)).reverse();
  }

  /** Events and states that a bound took. */
  get dropped(): number {
    return this.#left;
  }
}

const eventsMax = 500;
const statesMax = 1_024;
const heldShownMax = 16;
const listsMax = 256;
