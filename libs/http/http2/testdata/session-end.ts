import { HeadArena } from '../../head-arena.ts';
import type { MessageHead } from '../../message-head.ts';
import type { ErrorCode } from '../error-code.ts';
import type { FailureReason } from '../failure-reason.ts';
import { defaultHttp2Limits, type Http2Limits } from '../http2-limits.ts';
import { Http2Session } from '../http2-session.ts';
import type { Http2Stream } from '../http2-stream.ts';
import type { Http2Failure, SessionEvents, StreamOwner, StreamReset } from '../session-ports.ts';
import type { WindowBudget } from '../window-budget.ts';
import { MemoryOutput } from './memory-output.ts';

/** One message stream as it was seen, and the switch that decides what the consumer takes. */
export class RecordedStream implements StreamOwner {
  stream!: Http2Stream;
  head: MessageHead | null = null;
  readonly infos: MessageHead[] = [];
  readonly body: Buffer[] = [];
  trailers: MessageHead | null = null;
  ended = false;
  reset: StreamReset | null = null;
  closed = 0;
  writable = 0;
  /** What `onData` answers. */
  takes = true;

  onInfo(head: MessageHead): void {
    this.infos.push(head);
  }

  onHead(head: MessageHead, end: boolean): void {
    this.head = head;
    this.ended ||= end;
  }

  onData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    this.body.push(Buffer.from(bytes.subarray(at, to)));
    this.ended ||= end;
    return this.takes;
  }

  onTrailers(head: MessageHead): void {
    this.trailers = head;
    this.ended = true;
  }

  onWritable(): void {
    this.writable++;
  }

  onReset(reset: StreamReset): void {
    this.reset = reset;
  }

  onClosed(): void {
    this.closed++;
  }

  get text(): string {
    return Buffer.concat(this.body).toString('latin1');
  }
}

/** A session with everything it said, over memory and a clock that a test moves. */
export class SessionEnd implements SessionEvents {
  readonly output = new MemoryOutput();
  readonly session: Http2Session;
  readonly requests: RecordedStream[] = [];
  readonly unread: FailureReason[] = [];
  readonly goAways: (readonly [last: number, code: ErrorCode])[] = [];
  failure: Http2Failure | null = null;
  drained = 0;
  settings = 0;
  nowMs = 1000;
  /** When the session wants to be called; -1: it has not said. */
  wakeAt = -1;
  /** Called for each request; answers whether it is accepted. */
  accept: (request: RecordedStream, end: boolean) => boolean = () => true;

  constructor(role: 'server' | 'client', limits: Partial<Http2Limits> = {}, windows?: WindowBudget) {
    this.session = new Http2Session({
      role, output: this.output, events: this, arena: new HeadArena(), limits: { ...defaultHttp2Limits, ...limits }, now: () => this.nowMs,
      ...(windows && { windows }),
    });
  }

  start(): this {
    this.session.start();
    return this;
  }

  onRequest(stream: Http2Stream, head: MessageHead, end: boolean): StreamOwner | null {
    const request = new RecordedStream();
    request.stream = stream;
    request.head = head;
    request.ended = end;
    this.requests.push(request);
    return this.accept(request, end) ? request : null;
  }

  onUnreadRequest(stream: Http2Stream, reason: FailureReason): StreamOwner | null {
    this.unread.push(reason);
    const request = new RecordedStream();
    request.stream = stream;
    return request;
  }

  onSettings(): void {
    this.settings++;
  }

  onGoAway(lastStreamId: number, code: ErrorCode): void {
    this.goAways.push([lastStreamId, code]);
  }

  onDrained(): void {
    this.drained++;
  }

  onFailed(failure: Http2Failure): void {
    this.failure = failure;
  }

  wake(delayMs: number): void {
    this.wakeAt = this.nowMs + delayMs;
  }

  read(bytes: Uint8Array, pieceSize = bytes.length): void {
    for (let at = 0; at < bytes.length; at += pieceSize) this.session.read(Uint8Array.from(bytes.subarray(at, at + pieceSize)), 0, Math.min(pieceSize, bytes.length - at));
  }

  /** Moves the clock, and calls the session where it asked for it. */
  advance(ms: number): void {
    this.nowMs += ms;
    while (this.wakeAt >= 0 && this.wakeAt <= this.nowMs) {
      this.wakeAt = -1;
      this.session.checkTime();
    }
  }
}

/** Carries bytes both ways until both are quiet, in pieces of `pieceSize`. */
export function exchange(one: SessionEnd, other: SessionEnd, pieceSize = 65_536): void {
  for (;;) {
    const there = one.output.take();
    const back = other.output.take();
    if (there.length === 0 && back.length === 0) return;
    other.read(there, pieceSize);
    one.read(back, pieceSize);
  }
}

export function sessionPair(serverLimits: Partial<Http2Limits> = {}, clientLimits: Partial<Http2Limits> = {}): { readonly client: SessionEnd; readonly server: SessionEnd } {
  const client = new SessionEnd('client', clientLimits).start();
  const server = new SessionEnd('server', serverLimits).start();
  exchange(client, server);
  return { client, server };
}

/** Opens a stream and sends the head. */
export function request(client: SessionEnd, head: MessageHead, end = true): RecordedStream {
  const recorded = new RecordedStream();
  const stream = client.session.open(recorded);
  if (stream === null) throw new Error('no stream can be opened');
  recorded.stream = stream;
  if (!stream.sendHead(head, end)) throw new Error('the head cannot be written');
  return recorded;
}
