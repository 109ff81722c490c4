import { createHash, randomBytes } from 'node:crypto';
import { headerId } from '@remora/http/header-ids';
import type { MessageHead } from '@remora/http/message-head';

/** A `Sec-WebSocket-Key` for an opening handshake that came without one (RFC 6455 section 4.1). */
export function makeWebSocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** The `Sec-WebSocket-Accept` that answers the key (RFC 6455 section 4.2.2). */
export function webSocketAccept(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`, 'latin1').digest('base64');
}

/** Where the upstream has not: it spoke HTTP/2, where there is no key to answer (RFC 8441 section 5). */
export function answerWebSocketKey(request: MessageHead, response: MessageHead): void {
  if (response.has(acceptHeader) || !request.has(keyHeader)) return;
  response.putText(acceptHeader, webSocketAccept(request.valueAt(keyHeader, 0)));
}

const keyHeader = headerId('sec-websocket-key');
const acceptHeader = headerId('sec-websocket-accept');
