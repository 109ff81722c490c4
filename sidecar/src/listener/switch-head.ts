import { headSizeMax, noConnectionLine, writeResponseHead, type ResponseFraming } from '@remora/http/head-writer';
import type { MessageHead } from '@remora/http/message-head';
import type { Link } from '../io/link.ts';
import { answerWebSocketKey } from '../io/web-socket-key.ts';

/**
 * Sends the head with which an HTTP/1.1 connection becomes a tunnel: 101; to CONNECT a success like any other, without framing (RFC 9110 section
 * 9.3.6). False: it cannot be written, nothing was sent.
 */
export function sendSwitchHead(link: Link, request: MessageHead, head: MessageHead): boolean {
  const { protocol } = head;
  if (protocol === 'websocket') answerWebSocketKey(request, head);
  const out = link.reserve(headSizeMax(head));
  if (request.method === 'CONNECT') head.protocol = '';
  const at = writeResponseHead(head, switchFraming, out, link.outAt);
  head.protocol = protocol;
  if (at >= 0) link.wrote(at);
  return at >= 0;
}

const switchFraming: ResponseFraming = { bodiless: true, chunkedAllowed: true, connectionLine: noConnectionLine };
