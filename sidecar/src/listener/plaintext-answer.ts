import { reasons } from '@remora/errors/reason';

const { code, status, title } = reasons.plaintextOnTls;
const body = JSON.stringify({ type: 'about:blank', title, status, reason: code });

/** What a client gets that speaks HTTP without TLS to a listener of protocol https: the whole answer, before anything of its request is read. */
export const plaintextAnswer: Uint8Array = Buffer.from([
  `HTTP/1.1 ${status} Bad Request`, 'content-type: application/problem+json', `content-length: ${Buffer.byteLength(body)}`, `x-remora-reason: ${code}`,
  'x-remora-origin: remora', 'connection: close', '', body,
].join('\r\n'), 'latin1');
