import type { Clock } from '@remora/core/clock';

/** One event of the control plane, as `/v1/events` tells it. */
export interface FeedEvent {
  /** Grows by one; of this process only. */
  readonly id: number;
  readonly type: string;
  readonly at: string;
  readonly data: object;
}

/** The newest events, and who listens to the next. */
export interface EventFeed {
  /** Changes with each start: ids of another run mean nothing. */
  readonly run: string;
  publish(type: string, data: object): void;
  /** Events after an id that are still kept; null where some are gone. */
  after(id: number): readonly FeedEvent[] | null;
  newestId(): number;
  listen(listener: (event: FeedEvent) => void): () => void;
  listeners(): number;
}

const keptMax = 2_000;

export function createEventFeed(ports: { readonly clock: Clock; readonly alarm: (error: unknown) => void }): EventFeed {
  const kept: FeedEvent[] = [];
  const listeners = new Set<(event: FeedEvent) => void>();
  let newest = 0;
  return {
    run: ports.clock.wallMs().toString(36),
    publish(type, data) {
      newest += 1;
      const event: FeedEvent = { id: newest, type, at: new Date(ports.clock.wallMs()).toISOString(), data };
      kept.push(event);
      if (kept.length > keptMax) kept.splice(0, kept.length - keptMax);
      for (const listener of listeners) {
        try {
          listener(event);
        } catch (error) {
          ports.alarm(error);
        }
      }
    },
    after(id) {
      const oldest = kept[0]?.id ?? newest + 1;
      if (id > newest || id + 1 < oldest) return null;
      return kept.filter((event) => event.id > id);
    },
    newestId: () => newest,
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    listeners: () => listeners.size,
  };
}
