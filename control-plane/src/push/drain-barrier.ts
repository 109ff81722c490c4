import type { Timer, Timers } from '@remora/core/clock';
import type { EndpointView } from './endpoint-views.ts';

interface Barrier {
  readonly service: string;
  readonly instance: string;
  readonly callers: Set<string>;
  readonly timer: Timer;
  readonly done: (stragglers: readonly string[]) => void;
}

/** Waits until no connected caller chooses a leaving instance any more, by the callers' own state ACKs. */
export class DrainBarrier {
  readonly #timers: Timers;
  readonly #barriers = new Set<Barrier>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** `callers` are connected sidecars that may still choose it. `done` runs once, with those that had not confirmed in time. */
  raise(spec: { readonly service: string; readonly instance: string; readonly callers: Iterable<string>; readonly waitMs: number; readonly done: (stragglers: readonly string[]) => void }): void {
    const callers = new Set(spec.callers);
    if (callers.size === 0) return spec.done([]);
    const barrier: Barrier = {
      service: spec.service, instance: spec.instance, callers, done: spec.done,
      timer: this.#timers.after(spec.waitMs, () => this.#lower(barrier)),
    };
    this.#barriers.add(barrier);
  }

  /** A caller uses this view now. */
  acked(caller: string, view: EndpointView): void {
    for (const barrier of this.#barriers) {
      if (barrier.callers.has(caller) && !mayChoose(view, barrier.service, barrier.instance)) this.#pass(barrier, caller);
    }
  }

  /** A caller that is not connected cannot be waited for; it learns of it when it comes back. */
  gone(caller: string): void {
    for (const barrier of this.#barriers) this.#pass(barrier, caller);
  }

  close(): void {
    for (const barrier of this.#barriers) barrier.timer.cancel();
    this.#barriers.clear();
  }

  #pass(barrier: Barrier, caller: string): void {
    if (barrier.callers.delete(caller) && barrier.callers.size === 0) this.#lower(barrier);
  }

  #lower(barrier: Barrier): void {
    barrier.timer.cancel();
    this.#barriers.delete(barrier);
    barrier.done([...barrier.callers].sort());
  }
}

/** Whether a caller with this view may send new requests to the instance. */
export function mayChoose(view: EndpointView | null, service: string, instance: string): boolean {
  const endpoint = view?.sets.get(service)?.set.endpoints.find(({ id }) => id === instance);
  return endpoint !== undefined && !endpoint.draining;
}
