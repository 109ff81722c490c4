import type { HeadLimits } from '../head-scanner.ts';

/**
 * What one HTTP/2 connection may cost, in memory, work and time. All of it in one place; every bound that is exceeded is named by a
 * `FailureReason` and counted. 0 ms: no limit.
 */
export interface Http2Limits {
  /** SETTINGS_MAX_CONCURRENT_STREAMS: streams that the peer may have open; beyond it REFUSED_STREAM. Client role: none are accepted. */
  readonly streamsMax: number;
  /** SETTINGS_INITIAL_WINDOW_SIZE: body bytes of one stream that may be on their way or held for its consumer. */
  readonly streamWindowBytes: number;
  /** The same for all streams of the connection together: what a peer can make us hold. At least 65,535 (RFC 9113 section 6.9.2). */
  readonly connectionWindowBytes: number;
  /** What a stream's window may grow to while a long body comes over a long way. */
  readonly streamWindowBytesMax: number;
  /** What the connection's window may be beyond `connectionWindowBytes`, for streams whose windows have grown. All connections together: `WindowBudget`. */
  readonly windowGrowthMax: number;
  /** SETTINGS_MAX_FRAME_SIZE: payload bytes of one frame, 16,384 to 16,777,215. Larger ones end the connection. */
  readonly frameBytesMax: number;
  /** SETTINGS_HEADER_TABLE_SIZE: what the peer's encoder may make us remember (RFC 7541 section 4.1). */
  readonly decoderTableBytes: number;
  /** What our encoder remembers at most, whatever the peer allows. */
  readonly encoderTableBytesMax: number;
  /**
   * SETTINGS_MAX_HEADER_LIST_SIZE and number of fields, both counted before cookies are joined and hop-by-hop fields left out, each field with
   * 32 bytes more than its text (RFC 9113 section 10.5.1). Beyond it the head is decoded and dropped, and the request answered with 431.
   */
  readonly head: HeadLimits;
  /** Bytes of one header block as they arrive, over HEADERS and CONTINUATION frames. Beyond it the connection ends. */
  readonly headerBlockBytesMax: number;
  /** Frames of one header block (CVE-2024-27983). Beyond it the connection ends. */
  readonly headerBlockFramesMax: number;
  /** From the first byte of a header block to its END_HEADERS. Beyond it the connection ends. */
  readonly headerBlockTimeoutMs: number;
  /** The peer's preface and its acknowledgement of our SETTINGS. Beyond it SETTINGS_TIMEOUT. */
  readonly settingsTimeoutMs: number;
  /** A body that waits for the peer's window, or for the peer to read, without any progress. Beyond it the stream is reset. */
  readonly stalledTimeoutMs: number;
  /** Between the warning GOAWAY and the final one, where the peer answers no PING. */
  readonly drainNoticeMs: number;
  /** Silence after which a PING is sent while streams are open. */
  readonly keepAliveMs: number;
  /** A PING without an answer for this long ends the connection. */
  readonly keepAliveTimeoutMs: number;
  /** Extended CONNECT (RFC 8441) is offered. */
  readonly extendedConnect: boolean;
  /** Streams closed while their handler ran, whoever reset them (CVE-2023-44487, CVE-2025-8671); each that was answered earns one. Beyond it ENHANCE_YOUR_CALM. */
  readonly resets: BudgetLimits;
  /** Only streams younger than this count: older ones are bounded by `streamsMax`. */
  readonly resetAgeMs: number;
  /** PING, SETTINGS, PRIORITY, GOAWAY, unknown frames and frames for closed streams; each head and DATA frame sent earns one. */
  readonly controlFrames: BudgetLimits;
  /** WINDOW_UPDATE; each head and DATA frame sent earns some more. */
  readonly windowUpdates: BudgetLimits;
  /** DATA without data that does not end its stream. */
  readonly emptyData: BudgetLimits;
}

/** A bucket: `burst` at once, refilled by `perSecond`. */
export interface BudgetLimits {
  readonly burst: number;
  readonly perSecond: number;
}

export const defaultHttp2Limits: Http2Limits = Object.freeze({
  streamsMax: 100,
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 1024 * 1024,
  streamWindowBytesMax: 16 * 1024 * 1024,
  windowGrowthMax: 16 * 1024 * 1024,
  frameBytesMax: 16_384,
  decoderTableBytes: 4096,
  encoderTableBytesMax: 4096,
  head: Object.freeze({ bytesMax: 64 * 1024, fieldsMax: 100 }),
  headerBlockBytesMax: 128 * 1024,
  headerBlockFramesMax: 32,
  headerBlockTimeoutMs: 10_000,
  settingsTimeoutMs: 10_000,
  stalledTimeoutMs: 60_000,
  drainNoticeMs: 1000,
  keepAliveMs: 0,
  keepAliveTimeoutMs: 10_000,
  extendedConnect: false,
  resets: Object.freeze({ burst: 1000, perSecond: 100 }),
  resetAgeMs: 1000,
  controlFrames: Object.freeze({ burst: 1000, perSecond: 100 }),
  windowUpdates: Object.freeze({ burst: 2000, perSecond: 200 }),
  emptyData: Object.freeze({ burst: 100, perSecond: 10 }),
});
