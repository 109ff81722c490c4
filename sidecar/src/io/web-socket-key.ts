import { createHash, randomBytes } from 'node:crypto';

/** A `Sec-WebSocket-Key` for an opening handshake that came without one (RFC 6455 section 4.1). */
export function makeWebSocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** The `Sec-WebSocket-Accept` that answers the key (RFC 6455 section 4.2.2). */
export function webSocketAccept(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`, 'latin1').digest('base64');
}
