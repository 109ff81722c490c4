import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Subject } from '@remora/core/subject';
import type { Query } from '@remora/proto/gen/remora/push/v1/push';
import type { Batch, Event } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { Backoff } from '../config/backoff.ts';
import type { SeriesReading } from '../threads/data-plane.ts';
import type { KeptRefusal } from './refusal-ring.ts';
import { boundSeries } from './series-bound.ts';
import type { TelemetryConnector, TelemetryStream } from './telemetry-stream.ts';
import { toWireCallers, toWireHealth, toWireRefusal, toWireSeries, toWireUnknown } from './wire-telemetry.ts';
import type { HealthState } from '../health/health-record.ts';

export interface TelemetrySenderOptions {
  readonly connector: TelemetryConnector;
  /** The control plane in contact, null while there is none: telemetry goes where the config comes from. */
  readonly address: () => string | null;
  readonly node: { readonly nodeId: string; readonly incarnation: number; readonly subject: Subject };
  readonly readSeries: () => readonly SeriesReading[];
  /** Who called the inbound ports, by name (records/caller-names.ts). */
  readonly readCallers?: () => ReadonlyMap<string, number>;
  /** What this sidecar holds against others now. */
  readonly readHealth?: () => HealthReading;
  /** JSON text; rejects with what to tell the asker. */
  readonly answer: (query: Query) => Promise<string>;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
}

export interface HealthReading {
  readonly current: readonly HealthState[];
  /** States and events that a bound took. */
  readonly dropped: number;
}

export interface TelemetryStatus {
  readonly connected: boolean;
  readonly sent: number;
  readonly droppedBatches: number;
  readonly droppedRefusals: number;
  readonly droppedEvents: number;
  readonly lastEnd: string;
}

const refusalsQueuedMax = 2_000;
const refusalsPerBatchMax = 500;
const eventsQueuedMax = 500;
const eventsPerBatchMax = 100;
const openQuestionsMax = 32;
const answerBytesMax = 262_144;
/** Intervals without an acknowledgement before the stream counts as dead. */
const patienceIntervals = 3;

/**
 * Sends cumulative series, new refusals and events. A lost batch loses no counts: the next one carries the same sums. At
 * most one batch is without an acknowledgement; refusals and events wait in bounded queues that drop the oldest.
 */
export class TelemetrySender {
  readonly #options: TelemetrySenderOptions;
  readonly #backoff: Backoff;
  /** Counting began with this sender. */
  readonly #startedAtMs: number;
  readonly #refusals: KeptRefusal[] = [];
  readonly #events: Event[] = [];
  #stream: TelemetryStream | null = null;
  #serial = 0;
  #sequence = 0;
  #unacked: { readonly sequence: number; readonly refusals: number; readonly events: number; waited: number } | null = null;
  #openQuestions = 0;
  #timer: Timer | null = null;
  #notBefore = 0;
  #sent = 0;
  #dropped = { batches: 0, refusals: 0, events: 0 };
  #lastEnd = '';

  constructor(options: TelemetrySenderOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.monotonicMs();
    this.#backoff = new Backoff({ random: options.random, baseMs: options.intervalMs, capMs: 60_000 });
  }

  get status(): TelemetryStatus {
    const { batches, refusals, events } = this.#dropped;
    return { connected: this.#stream !== null, sent: this.#sent, droppedBatches: batches, droppedRefusals: refusals, droppedEvents: events, lastEnd: this.#lastEnd };
  }

  start(): void {
    this.#timer = this.#options.timers.every(this.#options.intervalMs, () => this.#tick());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#serial++;
    this.#stream?.close();
    this.#stream = null;
  }

  refusal(record: KeptRefusal): void {
    if (this.#refusals.push(record) <= refusalsQueuedMax) return;
    // What is in the batch on its way must stay in front until it is acknowledged.
    this.#refusals.splice(this.#unacked?.refusals ?? 0, 1);
    this.#dropped.refusals++;
  }

  event(type: string, message: string, attributes: Readonly<Record<string, string>> = {}): void {
    const event = { atMs: BigInt(Math.round(this.#options.clock.wallMs())), type, message, attributes: { ...attributes } };
    if (this.#events.push(event) <= eventsQueuedMax) return;
    this.#events.splice(this.#unacked?.events ?? 0, 1);
    this.#dropped.events++;
  }

  /** Opens the streams, so that questions can be asked before the first batch; and what was refused just now is sent. */
  contact(): void {
    if (!this.#stream) this.#open();
  }

  /** Sends a last batch, for figures of what ended with the process. */
  flush(): void {
    if (this.#stream && !this.#unacked) this.#send();
  }

  #tick(): void {
    if (!this.#stream) this.#open();
    if (!this.#stream) return;
    if (!this.#unacked) return this.#send();
    this.#dropped.batches++;
    this.#unacked.waited++;
    if (this.#unacked.waited >= patienceIntervals) this.#end('no acknowledgement');
  }

  #open(): void {
    const { address, connector, clock, node } = this.#options;
    const target = address();
    if (target === null || clock.monotonicMs() < this.#notBefore) return;
    const serial = ++this.#serial;
    const current = (): boolean => serial === this.#serial;
    this.#stream = connector.connect(target, {
      onAck: (sequence) => {
        if (current()) this.#acked(sequence);
      },
      onQuery: (query) => {
        if (current()) void this.#question(query, serial);
      },
      onEnd: (cause) => {
        if (current()) this.#end(cause);
      },
    });
    this.#stream.sendReply({ id: 0n, nodeId: node.nodeId, incarnation: BigInt(node.incarnation), json: '', error: '' });
  }

  #end(cause: string): void {
    this.#lastEnd = cause;
    this.#serial++;
    this.#stream?.close();
    this.#stream = null;
    this.#unacked = null;
    this.#openQuestions = 0;
    this.#notBefore = this.#options.clock.monotonicMs() + this.#backoff.next();
  }

  #send(): void {
    const { node, clock, readSeries, readCallers, readHealth } = this.#options;
    const refusals = this.#refusals.slice(0, refusalsPerBatchMax);
    const events = this.#events.slice(0, eventsPerBatchMax);
    const health = readHealth?.() ?? { current: [], dropped: 0 };
    const called = readCallers?.() ?? new Map<string, number>();
    const batch: Batch = {
      nodeId: node.nodeId,
      incarnation: BigInt(node.incarnation),
      subjectKind: node.subject.kind,
      subjectName: node.subject.name,
      sequence: BigInt(++this.#sequence),
      atMs: BigInt(Math.round(clock.wallMs())),
      series: boundSeries(readSeries()).map(toWireSeries),
      callers: toWireCallers(called),
      unknown: toWireUnknown(called),
      refusals: refusals.map(toWireRefusal),
      events,
      health: health.current.map(toWireHealth),
      healthLeftOut: BigInt(health.dropped),
      droppedBatches: BigInt(this.#dropped.batches),
      ageMs: BigInt(Math.round(clock.monotonicMs() - this.#startedAtMs)),
    };
    this.#unacked = { sequence: this.#sequence, refusals: refusals.length, events: events.length, waited: 0 };
    this.#sent++;
    this.#stream?.sendBatch(batch);
  }

  #acked(sequence: number): void {
    if (!this.#unacked || sequence < this.#unacked.sequence) return;
    this.#refusals.splice(0, this.#unacked.refusals);
    this.#events.splice(0, this.#unacked.events);
    this.#unacked = null;
    this.#backoff.reset();
  }

  async #question(query: Query, serial: number): Promise<void> {
    const reply = (json: string, error: string): void => {
      if (serial === this.#serial) this.#stream?.sendReply({ id: query.id, nodeId: '', incarnation: 0n, json, error });
    };
    if (this.#openQuestions >= openQuestionsMax) return reply('', `more than ${openQuestionsMax} questions are open`);
    this.#openQuestions++;
    try {
      const json = await this.#options.answer(query);
      if (Buffer.byteLength(json) > answerBytesMax) reply('', `the answer has more than ${answerBytesMax} bytes`);
      else reply(json, '');
    } catch (error) {
      reply('', error instanceof Error ? error.message : String(error));
    } finally {
      if (serial === this.#serial) this.#openQuestions--;
    }
  }
}
