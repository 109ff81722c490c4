import type { SeriesReading } from '../threads/data-plane.ts';
import type { RefusalCount } from './refusal-batch.ts';
import { addCallers, addPolicyEvents, addRow, emptySum, overflowName, seriesKey, type SeriesName, type SeriesSum } from './series-rows.ts';

/** One thread's rows, as the control thread reads them. */
export interface SeriesSource {
  readonly values: Float64Array;
  /** By row; null: the row is not in use. */
  readonly names: readonly (SeriesName | null)[];
}

/** Adds up the rows of all threads, dead ones included, so that values never go back. */
export class SeriesSums {
  readonly #sources = new Map<number, SeriesSource>();
  /** What threads that died had counted, and rows that were given back; the oldest first. */
  readonly #past = new Map<string, SeriesEntry>();
  readonly #refusals = new Map<string, RefusalCount>();
  /** What policies counted in threads that died. */
  readonly #pastEvents = new Map<string, number>();
  readonly #pastCallers = new Map<string, number>();

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
    addCallers(source.values, this.#pastCallers);
    // What it held is gone with it.
    for (const name of this.#pastEvents.keys()) if (isHeld(name)) this.#pastEvents.delete(name);
    for (const { sum } of this.#past.values()) {
      sum.active = 0;
      sum.tunnelsActive = 0;
    }
  }

  /** The thread gives these rows to others: what they counted is kept, of the last 1,024 names under their own, before them in the overflow of their side. */
  fold(thread: number, rows: readonly number[]): void {
    const source = this.#sources.get(thread);
    if (source === undefined) return;
    for (const row of rows) {
      const name = source.names[row] ?? null;
      if (name !== null) addRow(source.values, row, entryOf(this.#past, name).sum);
    }
    while (this.#past.size > pastSeriesMax) this.#foldOldest();
  }

  #foldOldest(): void {
    const oldest = this.#past.entries().next();
    if (oldest.done === true) return;
    const [key, { name, sum }] = oldest.value;
    this.#past.delete(key);
    if (name.route !== overflowName) addSum(sum, entryOf(this.#past, { side: name.side, route: overflowName, destination: '', target: '' }).sum);
    // The overflow itself is the newest again.
    else this.#past.set(key, { name, sum });
  }

  addRefusals(counts: readonly RefusalCount[]): void {
    for (const count of counts) {
      const { side, route, destination, target, reason, kind, policy, shadow } = count;
      const key = [side, route, destination, target, reason, kind, policy, String(shadow)].join('\0');
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
    else this.#refusals.set(key, { side, route: '_overflow', destination: '', target: '', reason: '_overflow', kind: '', policy: '', shadow, count });
  }

  /** What policies counted, by name. */
  readEvents(): ReadonlyMap<string, number> {
    const sums = new Map(this.#pastEvents);
    for (const { values } of this.#sources.values()) addPolicyEvents(values, sums);
    return sums;
  }

  /** Requests of callers of the inbound ports, by name (caller-names.ts). */
  readCallers(): ReadonlyMap<string, number> {
    const sums = new Map(this.#pastCallers);
    for (const { values } of this.#sources.values()) addCallers(values, sums);
    return sums;
  }

  read(): readonly SeriesReading[] {
    const sums = new Map<string, SeriesEntry>();
    for (const source of this.#sources.values()) addSource(source, sums);
    const live = sums.size;
    for (const { name, sum } of this.#past.values()) addSum(sum, entryOf(sums, name).sum);
    let nth = 0;
    const refusals = Map.groupBy(this.#refusals.values(), (count) => seriesKey(count));
    return [...sums].map(([key, entry]): [string, SeriesEntry, boolean] => [key, entry, nth++ >= live]).filter(([key, { sum }]) => sum.requests > 0 || sum.active > 0 || refusals.has(key)).map(([key, { name, sum }, retired]) => ({
      ...name,
      ...(retired && { retired }),
      requests: sum.requests,
      statusClasses: sum.statusClasses,
      codes: sum.codes,
      grpcCodes: sum.grpcCodes,
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

interface SeriesEntry {
  readonly name: SeriesName;
  readonly sum: SeriesSum;
}

function entryOf(sums: Map<string, SeriesEntry>, name: SeriesName): SeriesEntry {
  const key = seriesKey(name);
  let entry = sums.get(key);
  if (entry === undefined) {
    entry = { name, sum: emptySum() };
    sums.set(key, entry);
  }
  return entry;
}

function addSource({ values, names }: SeriesSource, sums: Map<string, SeriesEntry>): void {
  for (const [row, name] of names.entries()) if (name !== null) addRow(values, row, entryOf(sums, name).sum);
}

function addSum(from: SeriesSum, to: SeriesSum): void {
  to.requests += from.requests;
  for (const [i, count] of from.statusClasses.entries()) to.statusClasses[i] = (to.statusClasses[i] ?? 0) + count;
  for (const [code, count] of from.grpcCodes.entries()) to.grpcCodes[code] = (to.grpcCodes[code] ?? 0) + count;
  for (const [code, count] of from.codes) to.codes.set(code, (to.codes.get(code) ?? 0) + count);
  to.bytesIn += from.bytesIn;
  to.bytesOut += from.bytesOut;
  to.retries += from.retries;
  to.active += from.active;
  to.latencySum += from.latencySum;
  to.latencyMax = Math.max(to.latencyMax, from.latencyMax);
  for (const [i, count] of from.buckets.entries()) to.buckets[i] = (to.buckets[i] ?? 0) + count;
  to.tunnels += from.tunnels;
  to.tunnelsActive += from.tunnelsActive;
  to.messagesIn += from.messagesIn;
  to.messagesOut += from.messagesOut;
}

/** Series that are gone and still told of by name. */
export const pastSeriesMax = 1024;
const refusalSeriesMax = 4096;

/** Counts that go down again. */
function isHeld(name: string): boolean {
  return name.startsWith('connections_active-') || name === 'generation_older' || name === 'taps_open';
}
