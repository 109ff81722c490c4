import { decodeMessage, wholeNumber } from '@remora/policy-kit/wire-check';
import { Timeout } from './gen/timeout.ts';

/** Milliseconds; 0: no limit. */
export interface TimeoutSettings {
  readonly connectMs: number;
  /** Until the final response head, over all attempts. */
  readonly requestMs: number;
  /** Silence in both directions after the response head. */
  readonly idleMs: number;
  /** Until the response head of one attempt. */
  readonly perTryMs: number;
  /** Silence in both directions of a WebSocket, another upgrade or a TCP connection. */
  readonly tunnelIdleMs: number;
  /** The whole life of a call with its bodies. */
  readonly maxStreamMs: number;
}

const dayMs = 86_400_000;

export const timeoutWire = { name: 'timeout', format: 1, decode: decodeTimeout } as const;

function decodeTimeout(bytes: Uint8Array): TimeoutSettings {
  const message = decodeMessage(Timeout, bytes);
  return Object.freeze({
    connectMs: wholeNumber(message.connectMs, '/connect', 1, 3_600_000),
    requestMs: wholeNumber(message.requestMs, '/request', 0, dayMs),
    idleMs: wholeNumber(message.idleMs, '/idle', 0, dayMs),
    perTryMs: wholeNumber(message.perTryMs, '/perTry', 0, dayMs),
    tunnelIdleMs: wholeNumber(message.tunnelIdleMs, '/tunnelIdle', 0, 7 * dayMs),
    maxStreamMs: wholeNumber(message.maxStreamMs, '/maxStream', 0, 30 * dayMs),
  });
}
