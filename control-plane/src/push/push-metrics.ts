import { createHistogram, type Histogram } from '@remora/telemetry/histogram';

/** What the hub counts about itself, since it started. Read by the Prometheus page and by status. */
export interface PushMetrics {
  streams: number;
  connectsTotal: number;
  disconnectsTotal: number;
  /** By code of Rejected, and `shed`. */
  readonly rejectionsTotal: Map<string, number>;
  messagesSentTotal: number;
  bytesSentTotal: number;
  /** What the two lanes carried, without heartbeats and questions: `config`, `state`. */
  readonly laneMessagesTotal: Map<string, number>;
  readonly laneBytesTotal: Map<string, number>;
  /** By lane and kind: `config/update`, `config/unchanged`, `config/fallback`, `state/update`, `state/unchanged`. */
  readonly pushesTotal: Map<string, number>;
  /** Updates given up half-way because a newer one replaced them. */
  abortsTotal: number;
  acksTotal: number;
  /** By lane and class: `config/invalid`. */
  readonly nacksTotal: Map<string, number>;
  /** Answers to nothing that was asked. */
  strayAnswersTotal: number;
  /** Items that a source named and no sidecar could take: too many, too large, or with a slash in their name. */
  itemsLeftOutTotal: number;
  /** Questions that wait until items are in force. */
  itemWaits: number;
  /** Streams that wait for their turn. */
  waitingStreams: number;
  /** Questions to sidecars without an answer yet. */
  openQuestions: number;
  /** Commit of a log entry → the ACK of a sidecar that had to change, in ms. */
  readonly propagationMs: Histogram;
  /** Change of an endpoint set → the state ACK of a caller, in ms. */
  readonly endpointPropagationMs: Histogram;
}

export function createPushMetrics(): PushMetrics {
  return {
    streams: 0,
    connectsTotal: 0,
    disconnectsTotal: 0,
    rejectionsTotal: new Map(),
    messagesSentTotal: 0,
    bytesSentTotal: 0,
    laneMessagesTotal: new Map(),
    laneBytesTotal: new Map(),
    pushesTotal: new Map(),
    abortsTotal: 0,
    acksTotal: 0,
    nacksTotal: new Map(),
    strayAnswersTotal: 0,
    itemsLeftOutTotal: 0,
    itemWaits: 0,
    waitingStreams: 0,
    openQuestions: 0,
    propagationMs: createHistogram(),
    endpointPropagationMs: createHistogram(),
  };
}

/** Adds one to a labelled counter. Labels come from closed sets. */
export function countOne(counter: Map<string, number>, label: string): void {
  countMany(counter, label, 1);
}

export function countMany(counter: Map<string, number>, label: string, count: number): void {
  counter.set(label, (counter.get(label) ?? 0) + count);
}
