import type { SeriesReading } from '../threads/data-plane.ts';
import type { RefusalCount } from './refusal-batch.ts';
import { addPolicyEvents, addRow, emptySum, type SeriesName, type SeriesSum } from './series-rows.ts';

/** One thread's rows, as the control thread reads them. */
export interface SeriesSource {
  readonly values: Float64Array;
  readonly names: readonly SeriesName[];
}

/** Adds up the rows of all threads, dead ones included, so that values never go back. */
export class SeriesSums {
  readonly #sources = new Map<number, SeriesSource>();
  /** What threads that died had counted. */
  readonly #past = new Map<string, { readonly name: SeriesName; readonly sum: SeriesSum }>();
  readonly #refusals = new Map<string, RefusalCount>();
  /** What policies counted in threads that died. */
  readonly #pastEvents = new Map<string, number>();

  setSource(thread: number, source: SeriesSource): void {
    this.#sources.set(thread, source);
  }

  /** The thread is dead: its figures stay, what it had under way does not. */
  retire(thread: number): void {
    const source = this.#sources.get(thread);
    if (source === undefined) return;
    this.#sources.delete(thread);
    addSource(source, this.#past);
    addPolicyEvents(source.values, this.#pastEvents);
    // Its connections are gone with it.
    for (const name of this.#pastEvents.keys()) if (name.startsWith('connections_active-')) this.#pastEvents.delete(name);
    for (const { sum } of this.#past.values()) {
      sum.active = 0;
      sum.tunnelsActive = 0;
    }
  }

  addRefusals(counts: readonly RefusalCount[]): void {
    for (const count of counts) {
      const { side, route, destination, reason, kind, policy, shadow } = count;
      const key = [side, route, destination, reason, kind, policy, String(shadow)].join('\0');
      const known = this.#refusals.get(key);
      if (known !== undefined) known.count += count.count;
      else if (this.#refusals.size < refusalSeriesMax) this.#refusals.set(key, { ...count });
      else this.addOverflow(count);
    }
  }

  addOverflow({ side, shadow, count }: RefusalCount): void {
    const key = `${side}\0_overflow\0${String(shadow)}`;
    const known = this.#refusals.get(key);
    if (known !== undefined) known.count += count;
    else this.#refusals.set(key, { side, route: '_overflow', destination: '', reason: '_overflow', kind: '', policy: '', shadow, count });
  }

  /** What policies counted, by name. */
  readEvents(): ReadonlyMap<string, number> {
    const sums = new Map(this.#pastEvents);
    for (const { values } of this.#sources.values()) addPolicyEvents(values, sums);
    return sums;
  }

  read(): readonly SeriesReading[] {
    const sums = new Map<string, { name: SeriesName; sum: SeriesSum }>();
    for (const [key, { name, sum }] of this.#past) sums.set(key, { name, sum: copy(sum) });
    for (const source of this.#sources.values()) addSource(source, sums);
    const refusals = Map.groupBy(this.#refusals.values(), ({ side, route, destination }) => `${side}\0${route}\0${destination}`);
    return [...sums].filter(([key, { sum }]) => sum.requests > 0 || sum.active > 0 || refusals.has(key)).map(([key, { name, sum }]) => ({
      ...name,
      requests: sum.requests,
      statusClasses: sum.statusClasses,
      codes: sum.codes,
      bytesIn: sum.bytesIn,
      bytesOut: sum.bytesOut,
      latency: { counts: sum.buckets, sum: sum.latencySum, max: sum.latencyMax },
      refusals: (refusals.get(key) ?? []).map(({ reason, kind, policy, shadow, count }) => ({ reason, kind, policy, shadow, count })),
      retries: sum.retries,
      active: sum.active,
      tunnels: { opened: sum.tunnels, active: sum.tunnelsActive, messagesIn: sum.messagesIn, messagesOut: sum.messagesOut },
    }));
  }
}

function addSource({ values, names }: SeriesSource, sums: Map<string, { readonly name: SeriesName; readonly sum: SeriesSum }>): void {
  names.forEach((name, index) => {
    const key = `${name.side}\0${name.route}\0${name.destination}`;
    let entry = sums.get(key);
    if (entry === undefined) {
      entry = { name, sum: emptySum() };
      sums.set(key, entry);
    }
    addRow(values, index, entry.sum);
  });
}

function copy(sum: SeriesSum): SeriesSum {
  return { ...sum, statusClasses: [...sum.statusClasses], codes: new Map(sum.codes), buckets: [...sum.buckets] };
}

const refusalSeriesMax = 4096;
