import { errorCode, type ErrorCode } from './error-code.ts';
import type { FailureReason } from './failure-reason.ts';
import { frameBytesMin, windowMax } from './frame-type.ts';
import { readUint32 } from './frame-reader.ts';
import type { Http2Limits } from './http2-limits.ts';

/** Identifiers (RFC 9113 section 6.5.2, RFC 8441, RFC 9218). */
const setting = {
  headerTableSize: 1, enablePush: 2, maxConcurrentStreams: 3, initialWindowSize: 4, maxFrameSize: 5, maxHeaderListSize: 6,
  enableConnectProtocol: 8, noRfc7540Priorities: 9,
} as const;

/** What the peer has announced; defaults of the RFC until it has. */
export class PeerSettings {
  headerTableBytes = 4096;
  /** The RFC knows no limit; until the peer has named its own we do not ask for more than it recommends to allow. */
  streamsMax = 100;
  windowBytes = 65_535;
  headerListBytesMax = Number.POSITIVE_INFINITY;
  extendedConnect = false;
  /** Filled by `read` where it answers false. */
  failure: SettingsFailure = { code: errorCode.protocolError, reason: 'settings-value' };

  /** One SETTINGS frame's payload. False: the connection ends with `failure`. */
  read(bytes: Uint8Array, from: number, end: number, fromServer: boolean): boolean {
    for (let at = from; at < end; at += 6) {
      const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      const code = this.#take(id, readUint32(bytes, at + 2), fromServer);
      if (code === errorCode.noError) continue;
      this.failure = { code, reason: code === errorCode.flowControlError ? 'window-overflow' : 'settings-value' };
      return false;
    }
    return true;
  }

  #take(id: number, value: number, fromServer: boolean): ErrorCode {
    switch (id) {
      case setting.headerTableSize:
        this.headerTableBytes = value;
        return errorCode.noError;
      case setting.enablePush:
        return value > 1 || (fromServer && value !== 0) ? errorCode.protocolError : errorCode.noError;
      case setting.maxConcurrentStreams:
        this.streamsMax = value;
        return errorCode.noError;
      case setting.initialWindowSize:
        this.windowBytes = value;
        return value > windowMax ? errorCode.flowControlError : errorCode.noError;
      case setting.maxFrameSize:
        // Ours are never larger than the smallest allowed maximum.
        return value < frameBytesMin || value > 0xff_ffff ? errorCode.protocolError : errorCode.noError;
      case setting.maxHeaderListSize:
        this.headerListBytesMax = value;
        return errorCode.noError;
      case setting.enableConnectProtocol:
        // Once offered it cannot be taken back (RFC 8441 section 3).
        if (value > 1 || (value === 0 && this.extendedConnect)) return errorCode.protocolError;
        this.extendedConnect = value === 1;
        return errorCode.noError;
      case setting.noRfc7540Priorities:
        return value > 1 ? errorCode.protocolError : errorCode.noError;
      default:
        return errorCode.noError;
    }
  }
}

export interface SettingsFailure {
  readonly code: ErrorCode;
  readonly reason: FailureReason;
}

/** What we announce: only what differs from the RFC's defaults. */
export function ownSettings(role: 'server' | 'client', limits: Http2Limits): (readonly [id: number, value: number])[] {
  const pairs: [number, number][] = [];
  if (limits.decoderTableBytes !== 4096) pairs.push([setting.headerTableSize, limits.decoderTableBytes]);
  if (role === 'client') pairs.push([setting.enablePush, 0]);
  else pairs.push([setting.maxConcurrentStreams, limits.streamsMax]);
  if (limits.streamWindowBytes !== 65_535) pairs.push([setting.initialWindowSize, limits.streamWindowBytes]);
  if (limits.frameBytesMax !== frameBytesMin) pairs.push([setting.maxFrameSize, limits.frameBytesMax]);
  pairs.push([setting.maxHeaderListSize, limits.head.bytesMax]);
  if (role === 'server' && limits.extendedConnect) pairs.push([setting.enableConnectProtocol, 1]);
  if (role === 'server') pairs.push([setting.noRfc7540Priorities, 1]);
  return pairs;
}
