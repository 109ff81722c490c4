import type { TextBuffer } from '../byte-text.ts';
import { errorCode, type ErrorCode } from './error-code.ts';
import { readUint31, readUint32, type FrameReader } from './frame-reader.ts';
import { frameFlag, frameType } from './frame-type.ts';
import { HeaderBlock } from './header-block.ts';
import { HeadHandler } from './head-handler.ts';
import type { Http2Stream } from './http2-stream.ts';
import type { SessionCore } from './session-core.ts';

/** What each frame of the peer means in the state in which its stream is (RFC 9113 sections 5.1 and 6). */
export class FrameHandler {
  readonly #core: SessionCore;
  readonly #heads: HeadHandler;
  readonly block = new HeaderBlock();
  /** Called with the payload of an answer to a PING of ours. */
  onPong: (payload: Uint8Array, at: number) => void = ignorePong;

  constructor(core: SessionCore) {
    this.#core = core;
    this.#heads = new HeadHandler(core);
  }

  /** A whole frame that is not DATA. */
  payload(reader: FrameReader): void {
    const { type, streamId, payload, payloadAt, payloadEnd } = reader;
    const core = this.#core;
    if (!core.settled && (type !== frameType.settings || (reader.flags & frameFlag.ack) !== 0)) return core.fail(errorCode.protocolError, 'preface');
    if (this.block.streamId !== 0 && (type !== frameType.continuation || streamId !== this.block.streamId)) {
      return core.fail(errorCode.protocolError, 'header-block-interrupted');
    }
    switch (type) {
      case frameType.headers:
        return this.#headers(reader);
      case frameType.continuation:
        return this.#continuation(reader);
      case frameType.windowUpdate:
        return this.#windowUpdate(reader);
      case frameType.settings:
        return this.#settings(reader);
      case frameType.ping:
        return this.#ping(reader);
      case frameType.reset:
        return this.#reset(reader);
      case frameType.goAway:
        if (streamId !== 0) return core.fail(errorCode.protocolError, 'frame-stream');
        if (reader.length < 8) return core.fail(errorCode.frameSizeError, 'frame-size');
        return this.#goAway(readUint31(payload, payloadAt), readUint32(payload, payloadAt + 4));
      case frameType.priority:
        return this.#priority(streamId, payload, payloadAt, payloadEnd);
      case frameType.pushPromise:
        return core.fail(errorCode.protocolError, 'push');
      default:
        // Unknown types are ignored (RFC 9113 section 5.5), PRIORITY_UPDATE among them.
        core.spendControl();
    }
  }

  /** A piece of DATA. */
  data(reader: FrameReader): void {
    const core = this.#core;
    const { streamId, flowBytes, payload, payloadAt, payloadEnd } = reader;
    if (!core.settled) return core.fail(errorCode.protocolError, 'preface');
    if (this.block.streamId !== 0) return core.fail(errorCode.protocolError, 'header-block-interrupted');
    if (streamId === 0) return core.fail(errorCode.protocolError, 'frame-stream');
    if (!core.receiver.spend(flowBytes)) return core.fail(errorCode.flowControlError, 'flow-control');
    const end = reader.frameDone && (reader.flags & frameFlag.endStream) !== 0;
    if (reader.frameEmpty && reader.frameDone && !end && reader.length <= emptyMax && !core.spendEmptyData()) return undefined;
    const stream = core.streams.get(streamId);
    if (stream === undefined) {
      core.receiver.dropped(flowBytes);
      return this.#closedStream(streamId, reader.frameDone);
    }
    if (stream.receiveEnded || (core.role === 'client' && !stream.headReceived)) {
      core.receiver.dropped(flowBytes);
      const code = stream.receiveEnded ? errorCode.streamClosed : errorCode.protocolError;
      return core.streamError(stream, code, stream.receiveEnded ? 'stream-closed' : 'unexpected-frame');
    }
    return core.receiver.data(stream, payload, payloadAt, payloadEnd, flowBytes, end);
  }

  /** DATA for a stream that is not open. A frame counts once, however many pieces it comes in. */
  #closedStream(streamId: number, frameDone: boolean): void {
    const core = this.#core;
    if (core.isIdle(streamId)) core.fail(errorCode.protocolError, 'stream-id');
    else if (core.resets.ignores(streamId) || core.isLate(streamId)) {
      if (frameDone) core.spendControl();
    } else core.fail(errorCode.streamClosed, 'stream-closed');
  }

  #headers(reader: FrameReader): void {
    const core = this.#core;
    const { streamId, flags, payload } = reader;
    let at = reader.payloadAt;
    let end = reader.payloadEnd;
    if (streamId === 0) return core.fail(errorCode.protocolError, 'frame-stream');
    if ((flags & frameFlag.padded) !== 0) {
      if (at === end) return core.fail(errorCode.frameSizeError, 'frame-size');
      end -= payload[at++] as number;
    }
    if ((flags & frameFlag.priority) !== 0) {
      if (end - at < 5) return core.fail(end < at ? errorCode.protocolError : errorCode.frameSizeError, end < at ? 'frame-padding' : 'frame-size');
      if (readUint31(payload, at) === streamId) return core.fail(errorCode.protocolError, 'self-dependency');
      at += 5;
    }
    if (end < at) return core.fail(errorCode.protocolError, 'frame-padding');
    const endStream = (flags & frameFlag.endStream) !== 0;
    if ((flags & frameFlag.endHeaders) !== 0) return this.#heads.block(streamId, payload, at, end, endStream);
    this.block.begin(streamId, endStream);
    return this.#append(payload, at, end);
  }

  #continuation(reader: FrameReader): void {
    const core = this.#core;
    const { block } = this;
    if (block.streamId === 0) return core.fail(errorCode.protocolError, 'unexpected-frame');
    this.#append(reader.payload, reader.payloadAt, reader.payloadEnd);
    if (core.failure !== null || (reader.flags & frameFlag.endHeaders) === 0) return undefined;
    const { streamId, bytes, length, endStream } = block;
    block.clear();
    return this.#heads.block(streamId, bytes, 0, length, endStream);
  }

  #append(bytes: TextBuffer, at: number, end: number): void {
    const excess = this.block.append(bytes, at, end, this.#core.limits);
    if (excess !== null) this.#core.fail(errorCode.enhanceYourCalm, excess);
  }

  #windowUpdate({ streamId, length, payload, payloadAt }: FrameReader): void {
    const core = this.#core;
    if (length !== 4) return core.fail(errorCode.frameSizeError, 'frame-size');
    if (!core.spendWindowUpdate()) return undefined;
    const increment = readUint31(payload, payloadAt);
    if (streamId === 0) {
      if (increment === 0) return core.fail(errorCode.protocolError, 'window-increment');
      if (!core.sender.grow(null, increment)) return core.fail(errorCode.flowControlError, 'window-overflow');
      return undefined;
    }
    const stream = core.streams.get(streamId);
    if (stream === undefined) {
      if (core.isIdle(streamId)) core.fail(errorCode.protocolError, 'stream-id');
    } else if (increment === 0) core.streamError(stream, errorCode.protocolError, 'window-increment');
    else if (!core.sender.grow(stream, increment)) core.streamError(stream, errorCode.flowControlError, 'window-overflow');
    return undefined;
  }

  #settings({ streamId, flags, length, payload, payloadAt, payloadEnd }: FrameReader): void {
    const core = this.#core;
    if (streamId !== 0) return core.fail(errorCode.protocolError, 'frame-stream');
    const ack = (flags & frameFlag.ack) !== 0;
    if (ack ? length !== 0 : length % 6 !== 0) return core.fail(errorCode.frameSizeError, 'frame-size');
    if (ack) {
      if (core.acknowledged) core.spendControl();
      else {
        core.acknowledged = true;
        core.decoder.setLimit(core.limits.decoderTableBytes);
      }
      return undefined;
    }
    if (core.settled && !core.spendControl()) return undefined;
    const { peer } = core;
    const windowBefore = peer.windowBytes;
    if (!peer.read(payload, payloadAt, payloadEnd, core.role === 'client')) return core.fail(peer.failure.code, peer.failure.reason);
    core.settled = true;
    core.encoder.setPeerLimit(peer.headerTableBytes);
    core.frames.settingsAck();
    core.wroteControl();
    if (peer.windowBytes !== windowBefore && !core.sender.shift(peer.windowBytes - windowBefore)) {
      return core.fail(errorCode.flowControlError, 'window-overflow');
    }
    if (core.failure === null) core.events.onSettings();
    return undefined;
  }

  #ping({ streamId, flags, length, payload, payloadAt }: FrameReader): void {
    const core = this.#core;
    if (streamId !== 0) return core.fail(errorCode.protocolError, 'frame-stream');
    if (length !== 8) return core.fail(errorCode.frameSizeError, 'frame-size');
    core.counters.pingsIn++;
    if ((flags & frameFlag.ack) !== 0) {
      if (core.spendControl()) this.onPong(payload, payloadAt);
    } else if (core.spendControl()) {
      core.frames.ping(payload, payloadAt, true);
      core.wroteControl();
    }
    return undefined;
  }

  #reset({ streamId, length, payload, payloadAt }: FrameReader): void {
    const core = this.#core;
    if (streamId === 0) return core.fail(errorCode.protocolError, 'frame-stream');
    if (length !== 4) return core.fail(errorCode.frameSizeError, 'frame-size');
    const stream = core.streams.get(streamId);
    if (stream === undefined) {
      if (core.isIdle(streamId)) core.fail(errorCode.protocolError, 'stream-id');
      else core.spendControl();
      return undefined;
    }
    core.counters.resetsIn++;
    return this.#peerReset(stream, readUint32(payload, payloadAt));
  }

  #peerReset(stream: Http2Stream, code: ErrorCode): void {
    const core = this.#core;
    core.resets.add(stream.id, false);
    // A complete response whose server wants no more of the request (RFC 9113 section 8.1): it must not be lost.
    if (core.role === 'client' && code === errorCode.noError && stream.receiveEnded) {
      core.sender.abandon(stream);
      return;
    }
    const unprocessed = core.role === 'client' && code === errorCode.refusedStream;
    core.spendReset(stream);
    core.endAbnormally(stream, { code, by: 'peer', unprocessed, reason: 'peer-reset' });
  }

  #goAway(lastStreamId: number, code: ErrorCode): void {
    const core = this.#core;
    if (!core.spendControl()) return;
    core.gotGoAway = true;
    if (core.role === 'client') {
      for (const stream of core.streams.list()) {
        if (stream.id > lastStreamId) core.endAbnormally(stream, { code, by: 'go-away', unprocessed: true, reason: 'peer-go-away' });
      }
    }
    core.events.onGoAway(lastStreamId, code);
  }

  /** Priorities are deprecated (RFC 9113 section 5.3) and have no effect; what is not even well formed is still refused. */
  #priority(streamId: number, payload: TextBuffer, at: number, end: number): void {
    const core = this.#core;
    if (streamId === 0) return core.fail(errorCode.protocolError, 'frame-stream');
    if (end - at !== 5) {
      const stream = core.streams.get(streamId);
      if (stream === undefined) return core.fail(errorCode.frameSizeError, 'frame-size');
      return core.streamError(stream, errorCode.frameSizeError, 'frame-size');
    }
    if (readUint31(payload, at) === streamId) return core.fail(errorCode.protocolError, 'self-dependency');
    core.spendControl();
    return undefined;
  }
}

/** Frames with no more than padding in them count as empty where they are short. */
const emptyMax = 256;
function ignorePong(): void {}
