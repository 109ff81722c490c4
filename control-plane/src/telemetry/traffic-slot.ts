import { bucketCount } from '@remora/telemetry/histogram';
import { addTraffic, createTrafficCounts, type TrafficCounts } from './traffic-counts.ts';
import { VarintReader, VarintWriter } from './varint-bytes.ts';

/** What one series did in one slot. */
export interface TrafficRow {
  readonly series: number;
  /** Slots that it covers, this one the last: more than one after a gap in reporting. */
  readonly span: number;
  readonly counts: TrafficCounts;
}

/** The slot that is being filled. Rows are kept per series and span. */
export class OpenSlot {
  readonly #rows = new Map<number, TrafficRow>();

  get size(): number {
    return this.#rows.size;
  }

  /** False: it would be a new row, and there are `rowsMax`. */
  add(series: number, span: number, counts: TrafficCounts, rowsMax: number): boolean {
    const key = series * 512 + span;
    const row = this.#rows.get(key);
    if (row) addTraffic(row.counts, counts);
    else if (this.#rows.size < rowsMax) this.#rows.set(key, { series, span, counts: copyOf(counts) });
    else return false;
    return true;
  }

  rows(): IterableIterator<TrafficRow> {
    return this.#rows.values();
  }

  /** Compact bytes, about a tenth of the open form. */
  seal(): Uint8Array {
    const writer = new VarintWriter();
    for (const row of this.#rows.values()) writeRow(writer, row);
    return writer.finish();
  }
}

/** Rows of a sealed slot whose series `wanted` accepts; others are skipped without being read. */
export function* readSlot(bytes: Uint8Array, wanted: (series: number) => boolean): IterableIterator<TrafficRow> {
  const reader = new VarintReader(bytes);
  while (!reader.done) {
    const series = reader.next();
    const length = reader.next();
    if (wanted(series)) yield readRow(reader, series);
    else reader.at += length;
  }
}

function copyOf(counts: TrafficCounts): TrafficCounts {
  const copy = createTrafficCounts();
  addTraffic(copy, counts);
  return copy;
}

function writeRow(writer: VarintWriter, { series, span, counts }: TrafficRow): void {
  const body = new VarintWriter(256);
  body.put(span);
  body.put(Math.round(counts.requests));
  for (const count of counts.classes) body.put(Math.round(count));
  body.put(Math.round(counts.bytesIn));
  body.put(Math.round(counts.bytesOut));
  body.put(Math.round(counts.retries));
  body.put(Math.round(counts.sumMs * 1_000));
  body.put(Math.round(counts.maxMs * 1_000));
  writeBuckets(body, counts.latency);
  writePairs(body, counts.codes);
  writePairs(body, counts.grpcCodes);
  writePairs(body, counts.reasons);
  const bytes = body.finish();
  writer.put(series);
  writer.put(bytes.length);
  writer.append(bytes);
}

function writeBuckets(writer: VarintWriter, latency: Float64Array): void {
  let used = 0;
  for (let i = 0; i < bucketCount; i++) if ((latency[i] ?? 0) > 0) used++;
  writer.put(used);
  for (let i = 0; i < bucketCount; i++) {
    const count = latency[i] ?? 0;
    if (count === 0) continue;
    writer.put(i);
    writer.put(Math.round(count));
  }
}

function writePairs(writer: VarintWriter, pairs: ReadonlyMap<number, number>): void {
  writer.put(pairs.size);
  for (const [key, count] of pairs) {
    writer.put(key);
    writer.put(Math.round(count));
  }
}

function readRow(reader: VarintReader, series: number): TrafficRow {
  const counts = createTrafficCounts();
  const span = reader.next();
  counts.requests = reader.next();
  for (let i = 0; i < 6; i++) counts.classes[i] = reader.next();
  counts.bytesIn = reader.next();
  counts.bytesOut = reader.next();
  counts.retries = reader.next();
  counts.sumMs = reader.next() / 1_000;
  counts.maxMs = reader.next() / 1_000;
  for (let left = reader.next(); left > 0; left--) {
    const bucket = reader.next();
    counts.latency[bucket] = reader.next();
  }
  readPairs(reader, counts.codes);
  readPairs(reader, counts.grpcCodes);
  readPairs(reader, counts.reasons);
  return { series, span, counts };
}

function readPairs(reader: VarintReader, into: Map<number, number>): void {
  for (let left = reader.next(); left > 0; left--) {
    const key = reader.next();
    into.set(key, reader.next());
  }
}
