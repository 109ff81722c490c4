import type { TextBuffer } from '../byte-text.ts';
import type { MessageHead } from '../message-head.ts';
import { errorCode } from './error-code.ts';
import type { FailureReason } from './failure-reason.ts';
import { HeadAssembler, type AssembledKind } from './head-assembler.ts';
import { Http2Stream } from './http2-stream.ts';
import type { SessionCore } from './session-core.ts';

/** Complete header blocks: requests, responses, trailers (RFC 9113 section 8.1), each decoded whatever becomes of it. */
export class HeadHandler {
  readonly #core: SessionCore;
  /** Why the block that was decoded last makes no head. */
  #failure: FailureReason = 'compression';

  constructor(core: SessionCore) {
    this.#core = core;
  }

  block(streamId: number, bytes: TextBuffer, at: number, end: number, endStream: boolean): void {
    const core = this.#core;
    const stream = core.streams.get(streamId);
    if (stream !== undefined) {
      if (core.role === 'server') this.#trailers(stream, bytes, at, end, endStream);
      else if (stream.headReceived) this.#trailers(stream, bytes, at, end, endStream);
      else this.#response(stream, bytes, at, end, endStream);
    } else if (core.role === 'server' && core.isIdle(streamId)) this.#request(streamId, bytes, at, end, endStream);
    else this.#closedStream(streamId, bytes, at, end);
  }

  /** Null where there is none: `#failure` says why, or the connection has ended. */
  #decode(kind: AssembledKind, bytes: TextBuffer, at: number, end: number, endStream: boolean, bodiless: boolean): MessageHead | null {
    const core = this.#core;
    assembler.begin(kind, core.headLimits);
    if (!core.decoder.decode(bytes, at, end, assembler)) {
      core.fail(errorCode.compressionError, 'compression');
      return null;
    }
    const head = assembler.finish(core.arena, endStream, bodiless);
    if (head === null) this.#failure = assembler.failure ?? assembler.excess ?? 'compression';
    return head;
  }

  #request(streamId: number, bytes: TextBuffer, at: number, end: number, endStream: boolean): void {
    const core = this.#core;
    if ((streamId & 1) === 0) return core.fail(errorCode.protocolError, 'stream-id');
    if (streamId !== core.lastId + (core.lastId === 0 ? 1 : 2)) core.gapless = false;
    core.lastId = streamId;
    const head = this.#decode('request', bytes, at, end, endStream, false);
    if (core.failure !== null) return undefined;
    if (core.streams.size >= core.limits.streamsMax) return core.refuse(streamId, errorCode.refusedStream, 'streams-max');
    if (head === null && this.#failure !== 'head-too-large' && this.#failure !== 'too-many-fields') {
      return core.refuse(streamId, errorCode.protocolError, this.#failure);
    }
    if (head !== null && head.protocol !== '' && !core.limits.extendedConnect) return core.refuse(streamId, errorCode.protocolError, 'pseudo-header');
    return this.#open(streamId, head, endStream);
  }

  #open(streamId: number, head: MessageHead | null, endStream: boolean): void {
    const core = this.#core;
    const stream = new Http2Stream(core, streamId, core.now());
    core.streams.add(stream);
    core.counters.streamsOpened++;
    if (endStream) {
      stream.receiveEnded = true;
      stream.endDelivered = true;
    }
    let owner;
    if (head === null) {
      core.countStreamError(this.#failure);
      stream.discarding = true;
      owner = core.events.onUnreadRequest(stream, this.#failure);
    } else {
      if (!endStream) stream.expectedBytes = head.bodyLength;
      owner = core.events.onRequest(stream, head, endStream);
    }
    // The owner may have answered, or reset it, within the call.
    if (stream.closed) {
      owner?.onClosed();
      return;
    }
    stream.owner = owner;
    if (owner === null) {
      core.counters.refused++;
      stream.reset(errorCode.refusedStream);
    }
  }

  #response(stream: Http2Stream, bytes: TextBuffer, at: number, end: number, endStream: boolean): void {
    const core = this.#core;
    const head = this.#decode('response', bytes, at, end, endStream, stream.headRequest);
    if (core.failure !== null) return;
    if (head === null) core.streamError(stream, errorCode.protocolError, this.#failure);
    else if (head.status < 200) {
      if (++stream.interimHeads > interimMax) core.streamError(stream, errorCode.enhanceYourCalm, 'interim-heads');
      else {
        head.bodyLength = 0;
        stream.owner?.onInfo(head);
      }
    } else {
      stream.headReceived = true;
      if (!stream.headRequest && head.status !== 304) stream.expectedBytes = head.bodyLength;
      if (endStream) stream.receiveEnded = true;
      stream.owner?.onHead(head, endStream);
      if (endStream) core.receiver.endedByHead(stream);
    }
  }

  #trailers(stream: Http2Stream, bytes: TextBuffer, at: number, end: number, endStream: boolean): void {
    const core = this.#core;
    const head = this.#decode('trailers', bytes, at, end, endStream, false);
    if (core.failure !== null) return;
    if (stream.receiveEnded) core.streamError(stream, errorCode.streamClosed, 'stream-closed');
    else if (head === null) core.streamError(stream, errorCode.protocolError, this.#failure);
    else if (head.rowCount > 0) core.receiver.trailers(stream, head);
    else core.receiver.data(stream, bytes, at, at, 0, true);
  }

  /** A block for a stream that is not open. It is decoded all the same, so that the tables stay in step. */
  #closedStream(streamId: number, bytes: TextBuffer, at: number, end: number): void {
    const core = this.#core;
    if (core.isIdle(streamId)) return core.fail(errorCode.protocolError, 'stream-id');
    this.#decode('trailers', bytes, at, end, true, false);
    if (core.failure !== null) return undefined;
    if (core.resets.ignores(streamId) || core.isLate(streamId)) core.spendControl();
    else if (core.gapless) core.fail(errorCode.streamClosed, 'stream-closed');
    else core.fail(errorCode.protocolError, 'stream-id');
    return undefined;
  }
}

/** Interim responses before one final one: a flood of them is not an answer. */
const interimMax = 16;
/** One for the thread: busy only within a call. */
const assembler = new HeadAssembler();
