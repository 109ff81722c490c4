import type { Clock } from '@remora/core/clock';
import { endOfState, stateOfEvent } from '@remora/policy-kit/health-event';
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
  /** By kind, name of the state, service and host; in the order of their last event. */
  readonly #states = new Map<string, HeldState>();
  readonly #events: HealthState[] = [];
  #left = 0;
  /** Of `heldAgainst`, as of this change. */
  readonly #lists = new Map<string, { readonly list: readonly HealthState[]; readonly untilMs: number }>();
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

  add({ kind, event, service, host, pointer, policy, detail, untilMs, renews = false }: ReportedHealth): void {
    const nowMs = this.#clock.wallMs();
    const monotonicMs = this.#clock.monotonicMs();
    const endless = untilMs === 0 || !Number.isFinite(untilMs);
    const ends = endless ? 0 : Math.round(nowMs + untilMs - monotonicMs);
    const state = Object.freeze({ kind, event, service, host, pointer, policy, detail, sinceMs: nowMs, untilMs: ends });
    if (!renews) this.#tell(state);
    const effect = stateOfEvent(event);
    if (effect === null) return;
    this.#changes++;
    const key = keyOf(kind, effect.state, service, host);
    const before = renews ? this.#states.get(key) : undefined;
    this.#states.delete(key);
    const until = endless ? Number.POSITIVE_INFINITY : untilMs;
    if (before !== undefined) this.#hold(key, { state: Object.freeze({ ...state, sinceMs: before.state.sinceMs }), sinceMs: before.sinceMs, untilMs: until });
    else if (!effect.ends) this.#hold(key, { state, sinceMs: monotonicMs, untilMs: until });
  }

  /**
   * A snapshot is enforced that has these services: what is held against others, and does not end by itself, is over, for nobody is left who would say so. States
   * with an end have theirs.
   */
  keepServices(services: ReadonlySet<string>): void {
    for (const [key, { state, untilMs }] of this.#states) {
      if (untilMs !== Number.POSITIVE_INFINITY || services.has(nameOf(state.service))) continue;
      const name = key.split('\0')[1] ?? '';
      this.add({ ...state, event: endOfState(name), detail: 'nobody here calls it any more', untilMs: 0 });
    }
  }

  /** Since when something of this kind is held against a host, in monotonic milliseconds; null: nothing is. */
  heldSince(kind: string, service: string, host: string): number | null {
    const held = this.#states.get(keyOf(kind, '', service, host));
    return held === undefined || held.untilMs <= this.#clock.monotonicMs() ? null : held.sinceMs;
  }

  #tell(state: HealthState): void {
    this.#events.push(state);
    if (this.#events.length > eventsMax) this.#events.shift();
    this.#onEvent(state);
  }

  #hold(key: string, state: HeldState): void {
    this.#states.set(key, state);
    if (this.#states.size <= statesMax) return;
    const [oldest] = this.#states.keys();
    if (oldest !== undefined) this.#states.delete(oldest);
    this.#left++;
  }

  /** What holds now, the oldest first. */
  current(): readonly HealthState[] {
    const nowMs = this.#clock.monotonicMs();
    for (const [key, { untilMs }] of this.#states) if (untilMs <= nowMs) this.#states.delete(key);
    return [...this.#states.values()].map(({ state }) => state);
  }

  /** What holds now against one service or some of its hosts, the newest first: at most 16. The same list until something changes. */
  heldAgainst(service: string): readonly HealthState[] {
    if (this.#listsOf !== this.#changes) {
      this.#lists.clear();
      this.#listsOf = this.#changes;
    }
    const known = this.#lists.get(service);
    const nowMs = this.#clock.monotonicMs();
    if (known !== undefined && known.untilMs > nowMs) return known.list;
    const held = [...this.#states.values()].filter(({ state, untilMs }) => untilMs > nowMs && state.service === service).slice(-heldShownMax).reverse();
    const list = held.map(({ state }) => state);
    if (known !== undefined || this.#lists.size < listsMax) this.#lists.set(service, { list, untilMs: Math.min(...held.map(({ untilMs }) => untilMs)) });
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

/** With its times on the monotonic clock, which nobody sets. */
interface HeldState {
  readonly state: HealthState;
  readonly sinceMs: number;
  /** Infinity: it does not end by itself. */
  readonly untilMs: number;
}

/** `orders` of `orders:admin`. */
function nameOf(service: string): string {
  const colon = service.indexOf(':');
  return colon < 0 ? service : service.slice(0, colon);
}

/** `state`: its name, as `stateOfEvent` has it. */
function keyOf(kind: string, state: string, service: string, host: string): string {
  return `${kind}\0${state}\0${service}\0${host}`;
}

const eventsMax = 500;
const statesMax = 1_024;
const heldShownMax = 16;
const listsMax = 256;
