import type { Reason } from '@remora/errors/reason';
import type { Field, Head } from '@remora/http/head';
import type { AttemptBudget } from './attempt-budget.ts';
import type { ClientCertificateFacts } from './client-certificate-facts.ts';
import type { ConnectionRoom } from './connection-room.ts';
import type { Balancer, Host, HostSet, HostWatch } from './hosts.ts';
import type { RequestIdentity } from './request-identity.ts';
import type { TryNote } from './try-note.ts';

/** Held by the consumer of a body. */
export interface Source {
  /** Asks for more; production is scheduled and never re-enters `data()`. */
  resume(): void;
  /** Request body: want no more of it, the response goes on. Response body: cancel this attempt. */
  stop(reason: Reason): void;
}

/**
 * Held by the producer of a message. Order: `bind`, any `info`, `head` (responses only), any `data`, at most one
 * `trailers`; `reset` may come at any point and is the last. After end, trailers, reset or stop: silence.
 */
export interface Sink {
  /** Once, before anything else. */
  bind(from: Source): void;
  /** 1xx: never ends, never commits a retry. */
  info(head: Head): void;
  /** Responses only; commits. */
  head(head: Head, end: boolean): void;
  /**
   * All bytes in [at, to) are taken; `bytes` is borrowed for the call. True: go on; false: no more until `resume()`.
   * Overshoot is at most one read.
   */
  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** Ends the message. */
  trailers(head: Head): void;
  /** Abnormal end. */
  reset(reason: Reason): void;
}

/** One upstream call: what layers pass on. A retry makes a new one with a forked head. */
export interface Call {
  readonly x: Exchange;
  head: Head;
  /** The request body's source; request bodies start paused. */
  body: Source;
  /** Monotonic milliseconds at which the whole call ends, body included; only ever shrinks. Infinity: none. */
  deadlineAt: number;
  /** 1 for the first attempt. */
  attempt: number;
  /**
   * Limits of this call, in milliseconds from its dispatch; 0: none. Layers only shrink them, the engine applies them:
   * connecting (`connect-timeout`), until the final response head (`upstream-timeout`), silence in both directions after
   * that (`stream-idle`), and the whole life with its bodies (`max-stream-duration`).
   */
  connectTimeoutMs: number;
  headersTimeoutMs: number;
  /** Share of `headersTimeoutMs` that one attempt may take; the retry layer applies it to each attempt's own call. */
  perTryTimeoutMs: number;
  idleTimeoutMs: number;
  /** As `idleTimeoutMs`, in a tunnel. */
  tunnelIdleMs: number;
  maxStreamMs: number;
  /** Set by the pool: whether the connection had served a request before, so that a reset may only mean that it was stale. */
  reused: boolean;
  /**
   * Set by the balancer: the instance is spoken to in a way in which it can refuse a request without having looked at it (HTTP/2: REFUSED_STREAM,
   * GOAWAY), so that it can be made again whatever its method, as long as its body is still there.
   */
  refusable: boolean;
  /** Which destination and subset the route chose. */
  target: Target;
  /** Endpoints an earlier attempt used, to be avoided: ids; empty at first. */
  avoid: string[];
  /** Set by the balancer: id of the endpoint it chose for this attempt; '' before. */
  endpoint: string;
  /** Set by the balancer: the host of this attempt; null before, and where there was nobody. */
  host: Host | null;
  /** Set with `host`: those it was chosen among, and what is known of them. */
  hosts: HostSet | null;
  /** Who chooses the host; null: the data path's default. Set by the layer of `loadBalancing`. */
  balancer: Balancer | null;
  /** Who hears how attempts end at hosts; null: nobody. Set by the layer of `outlierDetection`. */
  watch: HostWatch | null;
  /** What further attempts of this call are asked of; null: nobody makes any. Set by the layer of `retry`. */
  budget: AttemptBudget | null;
  /** Bounds connections and waiting calls of the destination; null: nobody does. Set by the layer of `circuitBreaker`. */
  room: ConnectionRoom | null;
  /** Made by a layer in place of, or beside, the client's own call: it is not sent elsewhere again. */
  detour: boolean;
}

/** A destination as the routes name it, resolved when the snapshot is built. The data path adds its own state. */
export interface Target {
  /** Service name; the inbound side uses its own. */
  readonly service: string;
  readonly port: string;
  /** Only endpoints with all of these labels, as `key=value`, sorted. */
  readonly labels: readonly string[];
}

/** Returns the sink of the request body, bound to `call.body`. Never throws, never answers with a Promise. */
export type Dispatch = (call: Call, response: Sink) => Sink;
export type Layer = (next: Dispatch) => Dispatch;

export const WAIT: unique symbol = Symbol('wait');

/** What a filter decides: null passes, WAIT means `proceed`, `hold` or `answer` will be called with the exchange's token. */
export type Verdict = null | typeof WAIT | Answer;

/**
 * Answered by `request` where the body decides too: nothing is sent on until `holdBytes` of it have come, or its end; then `requestHeld` of the same filter
 * is called with it. The client is asked for the body (100-continue) and held back behind it as by any consumer; it is given up like one whose body is
 * awaited by an upstream, by `requestLimits`. Where there is no body, or enough of it is held for an earlier filter, `requestHeld` is called at
 * once. What is held goes upstream first when the call is made, through the body sinks of filters, and then the rest, as it comes.
 */
export const HOLD: unique symbol = Symbol('hold');

/** The beginning of a request body, or all of it, held back from upstream; there until the verdict. */
export interface HeldBody {
  /** At least what was asked for, unless the body is `complete`; at most one read or frame more. */
  readonly length: number;
  /** Nothing more comes. */
  readonly complete: boolean;
  /** Of a complete body. */
  readonly trailers: Head | null;
  /** The first `max` bytes, or as many as there are: where they lie together a view, else a copy. Not to be changed. */
  bytes(max: number): Uint8Array;
}

/** A response made here instead of upstream. */
export interface Answer {
  readonly reason: Reason;
  readonly status: number;
  readonly fields: readonly Field[];
  /** null: problem+json (or gRPC status) is made from the reason; empty: no body. */
  readonly body: Uint8Array | null;
  readonly contentType: string;
  /** Shown to trusted callers and in `why`; no secrets. */
  readonly detail: string;
  /** Policy kind that refused, '' for the data path. */
  readonly kind: string;
  /** Field or named entry of the section that decided, e.g. `/limits/perIp`. */
  readonly pointer: string;
}

export interface ConnectionFacts {
  /** Address of the socket's peer. */
  readonly peerAddress: string;
  readonly peerPort: number;
  /** Where the client connected to: of the socket, or what a PROXY protocol header says; the address is '' where nobody needs it. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Name of the inbound port or the gateway's listener; '' on the outbound side, and where the configuration does not know it. Follows the current snapshot. */
  readonly portName: string;
  readonly tls: boolean;
  readonly serverName: string;
  /** SPIFFE id of the caller, '' where it is not authenticated. */
  readonly principal: string;
  /** Whether the peer is within `trusted proxies`. Follows the current snapshot. */
  readonly trusted: boolean;
  /** Certificate of a client from outside, believed by a gateway's listener; absent where it showed none. The same object for the whole connection. */
  readonly clientCertificate?: ClientCertificateFacts;
}

export type Side = 'inbound' | 'outbound' | 'gateway';

/** What an exchange keeps of the snapshot it started on. Everything is prepared when the snapshot is built. */
export interface RoutePin {
  readonly side: Side;
  /** Route name; '' for the default. */
  readonly route: string;
  /** Service or gateway whose route it is. */
  readonly owner: string;
  readonly filters: readonly EdgeFilter[];
  /** Number of per-policy slots that exchanges on this route need. */
  readonly slotCount: number;
  /** `epoch.index` and content hash of the snapshot. */
  readonly configVersion: string;
  readonly configHash: string;
}

/** One per request, one shape, never reused. */
export class Exchange {
  head!: Head;
  responseHead: Head | null = null;
  pin!: RoutePin;
  connection!: ConnectionFacts;
  /** One per policy that asked for a slot (`FilterContext.slot`). */
  slots!: unknown[];
  /** Values of `{name}` and regex groups of the route's match, by position in the route's variable list. */
  pathValues: readonly string[] = noValues;
  pathNames: readonly string[] = noValues;
  /** Bits of the filters that asked for a body, by their index in the pin; set in `request`. */
  wantsRequestBody = 0;
  wantsResponseBody = 0;
  /** The protocol was switched, or a TCP connection made: both bodies are bytes now, and each ends on its own. */
  tunnel = false;
  /** Messages of a WebSocket, known at its end; -1: no WebSocket. */
  messagesIn = -1;
  messagesOut = -1;
  /** Bytes of both directions after which a tunnel is ended. */
  tunnelBytesMax = Number.POSITIVE_INFINITY;
  /** Changes at each WAIT and at the end; a stale token makes `proceed`, `hold` and `answer` no-ops. */
  token = 0;

  /** Path and authority as they were before the route rewrote them: what the client asked for; null where they were not rewritten. */
  askedPath: string | null = null;
  askedAuthority: string | null = null;
  requestId = '';
  /** Who it is from, by its credentials; null where no policy looks for any. The caller's certificate is in `connection.principal`. */
  identity: RequestIdentity | null = null;
  /** The same with what policies in shadow found, which only policies in shadow see; null where none found anything. */
  shadowIdentity: RequestIdentity | null = null;
  /** Client address after trusted proxies were considered. */
  clientAddress = '';
  /** Monotonic milliseconds. */
  startedAt = 0;
  /** Unix milliseconds. */
  startedWallMs = 0;
  deadlineAt = Number.POSITIVE_INFINITY;
  /** Monotonic milliseconds until which the caller waits for the response head; it says nothing about what follows. */
  answerBy = Number.POSITIVE_INFINITY;
  /** Monotonic milliseconds at which the caller's `grpc-timeout` ends. Infinity: none. */
  grpcDeadlineAt = Number.POSITIVE_INFINITY;
  bytesIn = 0;
  bytesOut = 0;
  attempts = 0;
  /** What answered in place of the destination, as the kind `fallback` says it; '' where nothing had to. */
  fallback = '';
  /** The limit that ended the last attempt; null where none did. */
  limit: CallLimit | null = null;
  /** How its attempts failed (`noteTry`); null where none did. */
  tries: TryNote[] | null = null;
  /** Notes between the first ones and the last that found no room. */
  triesLeftOut = 0;
  /** Why there was no attempt after the last one that failed: the field that decided; null where nobody makes further ones. */
  noFurtherTry: CallLimit | null = null;
  /** Endpoint of the last attempt, `host:port`. */
  upstream = '';
  destination = '';
  /** Monotonic milliseconds of the response head, 0 before. */
  answeredAt = 0;
  /** Monotonic milliseconds of the end, set before `complete` is called; 0 before. */
  endedAt = 0;
  /** Set where Remora answered or gave up; with kind and pointer of the policy. */
  refusal: Answer | null = null;
  /** Status sent to the client, 0 where none was. */
  status = 0;
  /** What `grpc-status` of the response or its trailers said; -1: nothing. */
  grpcStatus = -1;
  /** The trace that this exchange is a span of; null where spans are not recorded. */
  trace: ExchangeTrace | null = null;

  /** Continues after WAIT with the next filter. Replaced by the engine. */
  proceed(_token: number): void {}
  /** As if `request` had answered HOLD, after WAIT. Replaced by the engine. */
  hold(_token: number): void {}
  /** Ends the exchange with an answer after WAIT. Replaced by the engine. */
  answer(_token: number, _answer: Answer): void {}
}

/** A trace as an exchange knows it. Ids are lower-case hexadecimal, '' until they are decided. */
export interface ExchangeTrace {
  readonly traceId: string;
  /** Of the exchange's own span. */
  readonly spanId: string;
  /** Whether its spans are kept. */
  readonly recorded: boolean;
}

/** A limit that a call ran into. */
export interface CallLimit {
  /** Policy kind whose limit it is; absent: `timeout`. */
  readonly kind?: string;
  /** Field of the kind's section, e.g. `/request`; '' where the caller's own deadline was shorter. */
  readonly pointer: string;
  readonly detail: string;
  /** Of the answer. */
  readonly fields?: readonly Field[];
}

const noValues: readonly string[] = Object.freeze([]);

/**
 * Provider-side half of a policy at run time, built once per snapshot. Hooks run in the order of the pipeline for
 * requests and in reverse for responses; responses made by Remora pass `answer` and `response` of the filters whose
 * `request` ran (the refusing one included).
 */
export interface EdgeFilter {
  /** The kind's name. */
  readonly kind: string;
  /** What the kind does once it is known who the request is from and that it may: a filter of its own, after `authorization`. */
  readonly late?: EdgeFilter;
  request?(x: Exchange): Verdict | typeof HOLD;
  /** How much of a body `requestHeld` wants to see, in bytes; more than 0. It bounds what is kept in memory for each exchange: a kind bounds it itself. */
  readonly holdBytes?: number;
  /** Decides with the body, after HOLD. What it needs of `body` after its verdict it takes before. */
  requestHeld?(x: Exchange, body: HeldBody): Verdict;
  /** Installed only where `wantsRequestBody` has the filter's bit. */
  requestBody?(x: Exchange, next: Sink): Sink;
  responseBody?(x: Exchange, next: Sink): Sink;
  /** May rewrite an answer made by Remora before it is encoded. */
  answer?(x: Exchange, answer: Answer): Answer;
  /**
   * Tunnels only, after each change of the configuration, by the filters of the place that the exchange would have now: an answer ends the tunnel. Only
   * where the policy says `revoke`: otherwise what has begun goes on.
   */
  revoke?(x: Exchange): Answer | null;
  /**
   * For people who ask, never on the way of a request: named entries of the section that let a request pass, or would count it, as pointers. Only where
   * `request` lets it pass.
   */
  concerns?(x: Exchange): readonly string[];
  /** Response head, upstream's or ours. */
  response?(x: Exchange, head: Head): void;
  /** Exactly once, whatever happened. */
  complete?(x: Exchange): void;
}
