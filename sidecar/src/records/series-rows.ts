import { bucketCount, bucketOf } from '@remora/telemetry/histogram';
import type { Side } from '@remora/policy-kit/exchange';
import { addEvents, eventBytes, layoutBytes, PolicyEvents, type EventLayout } from './policy-events.ts';

/**
 * Figures of one thread by (side, route, destination, target), as rows of one shared array: the data thread is the only writer, the control thread
 * adds up the rows of all threads whenever it wants. Values only grow, `active` apart. At most `rowsMax` series; what does not fit is counted
 * in the overflow series of its side.
 *
 * Rows of Routes that are gone are given to others: at a swap, where three quarters of the rows are taken, those of Routes that the new snapshot does not
 * have and on which nothing is under way. The control thread keeps what they counted before they are used again.
 */
export class SeriesRows {
  readonly memory: SharedArrayBuffer;
  /** What each row counts, in the order of the rows: sent to the control thread as they are made. */
  readonly names: (SeriesName | null)[] = [];
  /** What policies count, behind the rows. */
  readonly events: PolicyEvents;
  /** Who called the inbound ports, behind those: see caller-names.ts. */
  readonly callers: PolicyEvents;
  readonly #values: Float64Array;
  readonly #rows = new Map<string, SeriesRow>();
  readonly #events: Partial<SeriesRowsEvents>;
  /** Rows that were given back and may be used again. */
  readonly #free: number[] = [];
  /** Rows that the control thread still has to read. */
  #released = 0;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(seriesBytes), events: Partial<SeriesRowsEvents> = {}) {
    this.memory = memory;
    this.#events = events;
    this.#values = new Float64Array(memory);
    this.events = new PolicyEvents(memory, rowsBytes);
    this.callers = new PolicyEvents(memory, rowsBytes + eventBytes, callerLayout);
    for (const side of ['inbound', 'outbound', 'gateway'] as const) this.#add({ side, route: overflowName, destination: '', target: '' });
  }

  row(side: Side, route: string, destination: string, target = ''): SeriesRow {
    const key = seriesKey({ side, route, destination, target });
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    if (this.#free.length === 0 && this.names.length >= rowsMax) return this.#rows.get(seriesKey({ side, route: overflowName, destination: '', target: '' })) as SeriesRow;
    return this.#add({ side, route, destination, target });
  }

  /** Three quarters of the rows are taken. */
  get crowded(): boolean {
    return this.names.length - this.#free.length - this.#released > (rowsMax * 3) / 4;
  }

  /** Gives back the rows of Routes that are not among these. Where nothing has no Route, or is the overflow, stays. */
  release(routes: Iterable<string>): void {
    const gone = new Map(Map.groupBy(this.#rows, ([, { name }]) => name.route));
    gone.delete('');
    gone.delete(overflowName);
    for (const route of routes) gone.delete(route);
    const rows: number[] = [];
    for (const [key, row] of [...gone.values()].flat()) {
      if (row.active > 0) continue;
      row.released = true;
      this.#rows.delete(key);
      rows.push(row.index);
    }
    if (rows.length === 0) return;
    this.#released += rows.length;
    this.#events.onReleased?.(rows);
  }

  /** What these rows counted is kept elsewhere now. */
  reuse(rows: readonly number[]): void {
    for (const row of rows) {
      this.#values.fill(0, row * rowLength, (row + 1) * rowLength);
      this.names[row] = null;
      this.#free.push(row);
    }
    this.#released -= rows.length;
  }

  #add(name: SeriesName): SeriesRow {
    const index = this.#free.pop() ?? this.names.length;
    const row = new SeriesRow(this.#values, index, Object.freeze(name));
    this.names[index] = name;
    this.#events.onNames?.(index, [name]);
    this.#rows.set(seriesKey(name), row);
    return row;
  }
}

export interface SeriesRowsEvents {
  /** Rows that came into use, in order. */
  onNames(from: number, names: readonly SeriesName[]): void;
  /** Rows that are not written any more: to be read once more, then `reuse`. */
  onReleased(rows: readonly number[]): void;
}

export interface SeriesName {
  readonly side: Side;
  readonly route: string;
  readonly destination: string;
  /** Labels of the target that a Route chose (`version=v2`); '': among all instances. */
  readonly target: string;
}

/** One text for the whole name. */
export function seriesKey({ side, route, destination, target }: { readonly [Part in keyof SeriesName]: string }): string {
  return `${side}\0${route}\0${destination}\0${target}`;
}

/** One row, for its writer. */
export class SeriesRow {
  readonly index: number;
  readonly name: SeriesName;
  /** It may count something else already: whoever holds it asks for another one. */
  released = false;
  readonly #values: Float64Array;
  readonly #at: number;

  constructor(values: Float64Array, index: number, name: SeriesName) {
    this.#values = values;
    this.index = index;
    this.name = name;
    this.#at = index * rowLength;
  }

  /** What is under way on it, tunnels included. */
  get active(): number {
    return (this.#values[this.#at + activeAt] as number) + (this.#values[this.#at + tunnelsActiveAt] as number);
  }

  began(): void {
    this.#add(activeAt, 1);
  }

  /** `status` 0: none was sent. */
  ended(status: number, ms: number, bytesIn: number, bytesOut: number, retries: number): void {
    this.#add(activeAt, -1);
    this.#add(0, 1);
    this.#add(classesAt + (status >= 100 && status < 600 ? Math.floor(status / 100) : 0), 1);
    this.#add(bytesInAt, bytesIn);
    this.#add(bytesOutAt, bytesOut);
    if (retries > 0) this.#add(retriesAt, retries);
    this.#add(sumAt, ms);
    const max = this.#at + maxAt;
    if (ms > (this.#values[max] as number)) this.#values[max] = ms;
    this.#add(bucketsAt + bucketOf(ms), 1);
    this.#code(status);
  }

  /** A call of gRPC or gRPC-Web ended with this code; beside `ended`. */
  grpcEnded(code: number): void {
    this.#add(grpcAt + (code <= grpcCodeMax ? code : grpcCodeMax + 1), 1);
  }

  tunnelOpened(): void {
    this.#add(tunnelsAt, 1);
    this.#add(tunnelsActiveAt, 1);
  }

  tunnelClosed(): void {
    this.#add(tunnelsActiveAt, -1);
  }

  /** Counted as they pass: a tunnel may live for days. */
  tunnelMoved(direction: 'in' | 'out', bytes: number, messages: number): void {
    this.#add(direction === 'in' ? bytesInAt : bytesOutAt, bytes);
    if (messages > 0) this.#add(direction === 'in' ? messagesInAt : messagesOutAt, messages);
  }

  #add(offset: number, value: number): void {
    const at = this.#at + offset;
    this.#values[at] = (this.#values[at] as number) + value;
  }

  #code(status: number): void {
    for (let i = 0, at = this.#at + codesAt; i < codesMax; i++, at += 2) {
      const code = this.#values[at] as number;
      if (code === status) {
        this.#values[at + 1] = (this.#values[at + 1] as number) + 1;
        return;
      }
      if (code === 0 && this.#values[at + 1] === 0) {
        this.#values[at] = status;
        this.#values[at + 1] = 1;
        return;
      }
    }
  }
}

/** What a row says, added to a sum over threads. */
export interface SeriesSum {
  requests: number;
  readonly statusClasses: number[];
  readonly codes: Map<number, number>;
  /** By gRPC code; the last are codes that gRPC does not have. */
  readonly grpcCodes: number[];
  bytesIn: number;
  bytesOut: number;
  retries: number;
  active: number;
  latencySum: number;
  latencyMax: number;
  readonly buckets: number[];
  tunnels: number;
  tunnelsActive: number;
  messagesIn: number;
  messagesOut: number;
}

export function emptySum(): SeriesSum {
  return {
    requests: 0, statusClasses: [0, 0, 0, 0, 0, 0], codes: new Map(), grpcCodes: Array.from({ length: grpcCount }, () => 0), bytesIn: 0, bytesOut: 0, retries: 0, active: 0, latencySum: 0, latencyMax: 0,
    buckets: Array.from({ length: bucketCount }, () => 0), tunnels: 0, tunnelsActive: 0, messagesIn: 0, messagesOut: 0,
  };
}

/** Reads row `index` of a thread's memory. A reader may be one request behind in some of the values. */
export function addRow(values: Float64Array, index: number, sum: SeriesSum): void {
  const at = index * rowLength;
  const read = (offset: number): number => values[at + offset] ?? 0;
  sum.requests += read(0);
  for (let i = 0; i < 6; i++) sum.statusClasses[i] = (sum.statusClasses[i] ?? 0) + read(classesAt + i);
  sum.bytesIn += read(bytesInAt);
  sum.bytesOut += read(bytesOutAt);
  sum.retries += read(retriesAt);
  sum.active += read(activeAt);
  sum.latencySum += read(sumAt);
  sum.latencyMax = Math.max(sum.latencyMax, read(maxAt));
  for (let i = 0; i < codesMax; i++) {
    const count = read(codesAt + 2 * i + 1);
    if (count === 0) break;
    const code = read(codesAt + 2 * i);
    sum.codes.set(code, (sum.codes.get(code) ?? 0) + count);
  }
  for (let i = 0; i < grpcCount; i++) sum.grpcCodes[i] = (sum.grpcCodes[i] ?? 0) + read(grpcAt + i);
  for (let i = 0; i < bucketCount; i++) sum.buckets[i] = (sum.buckets[i] ?? 0) + read(bucketsAt + i);
  sum.tunnels += read(tunnelsAt);
  sum.tunnelsActive += read(tunnelsActiveAt);
  sum.messagesIn += read(messagesInAt);
  sum.messagesOut += read(messagesOutAt);
}

/** Adds what policies counted in a thread's memory, by name. */
export function addPolicyEvents(values: Float64Array, sums: Map<string, number>): void {
  addEvents(values.buffer as SharedArrayBuffer, rowsBytes, sums);
}

/** The same for callers of the inbound ports. */
export function addCallers(values: Float64Array, sums: Map<string, number>): void {
  addEvents(values.buffer as SharedArrayBuffer, rowsBytes + eventBytes, sums, callerLayout);
}

export const overflowName = '_overflow';
export const rowsMax = 1024;
const codesMax = 32;
const classesAt = 1;
const bytesInAt = 7;
const bytesOutAt = 8;
const retriesAt = 9;
const activeAt = 10;
const sumAt = 11;
const maxAt = 12;
const codesAt = 13;
const bucketsAt = codesAt + 2 * codesMax;
const tunnelsAt = bucketsAt + bucketCount;
const tunnelsActiveAt = tunnelsAt + 1;
const messagesInAt = tunnelsAt + 2;
const messagesOutAt = tunnelsAt + 3;
const grpcAt = tunnelsAt + 4;
/** Codes that gRPC has, and one for all others. */
const grpcCodeMax = 16;
const grpcCount = grpcCodeMax + 2;
const rowLength = grpcAt + grpcCount;

const rowsBytes = rowsMax * rowLength * 8;

/** Callers by port that one thread tells apart. */
const callerLayout: EventLayout = { slots: 512, slotNumbers: 32 };
export const seriesBytes = rowsBytes + eventBytes + layoutBytes(callerLayout);
