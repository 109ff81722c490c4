import type { Choice } from '../choice.ts';
import { mutations } from './mutations.ts';

export interface HostileResponse {
  /** Latin-1. */
  readonly text: string;
  readonly valid: boolean;
}

/** What an upstream may answer, well-formed or spoiled. `token` is in the head and in the body. */
export function generateResponse(choice: Choice, token: string): HostileResponse {
  let text = choice.once(6) ? `HTTP/1.1 ${choice.pick(['100 Continue', '103 Early Hints', '102 Processing'])}\r\nLink: <${token}>\r\n\r\n` : '';
  text += generateFinal(choice, token);
  // Bytes that nobody asked for, often another response.
  if (choice.once(8)) text += choice.pick(['x', '\r\n', `HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n${'f'.repeat(16)}`]);
  const valid = choice.once(3);
  for (let left = valid ? 0 : choice.pick([1, 1, 2, 4]); left > 0 && text.length > 0; left--) text = choice.pick(mutations)(choice, text);
  return { text, valid };
}

function generateFinal(choice: Choice, token: string): string {
  const status = choice.pick(['200 OK', '200 OK', '200 OK', '404 Not Found', '204 No Content', '304 Not Modified', '500 ', '503', '301 Moved', '800 Odd', '206 Partial Content', '101 Switching Protocols']);
  const space = choice.pick([' ', ' ', '', '\t', '  ']);
  let text = `HTTP/1.${choice.once(12) ? 0 : 1} ${status}\r\nX-Token:${space}${token}\r\n`;
  if (choice.once(3)) text += `Set-Cookie:${space}a=${choice.hex(3)}; Path=/\r\nset-cookie: b=\xff\r\n`;
  if (choice.once(5)) text += `Connection:${space}${choice.pick(['close', 'keep-alive', 'x-drop', 'content-length', 'upgrade'])}\r\nX-Drop: nominated\r\n`;
  if (choice.once(10)) text += `Keep-Alive: timeout=${choice.pick(['0', '1', '5', '-1', '99999999999', 'x'])}\r\n`;
  if (choice.once(12)) text += `${choice.pick(['x-remora-origin', 'x-remora-reason', '__proto__', 'Via', 'Trailer'])}: x\r\n`;
  const body = choice.pick(['', token, `${token}${choice.text(choice.below(200), 'abc\r\n\0\xff')}`, `HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n${'c'.repeat(16)}`, token.repeat(choice.pick([10, 1500]))]);
  switch (choice.below(4)) {
    case 0:
      return `${text}\r\n${body}`;
    case 1:
    case 2:
      return `${text}Content-Length:${space}${body.length}\r\n\r\n${body}`;
    default:
      return `${text}Transfer-Encoding:${space}chunked\r\n\r\n${chunks(choice, body)}0\r\n${choice.once(3) ? `x-sum: ${choice.hex(3)}\r\n` : ''}\r\n`;
  }
}

function chunks(choice: Choice, body: string): string {
  let text = '';
  const step = choice.pick([1, 7, 100, 100_000]);
  for (let at = 0; at < body.length; at += step) text += `${Math.min(step, body.length - at).toString(16)}${choice.once(10) ? ';x' : ''}\r\n${body.slice(at, at + step)}\r\n`;
  return body.length / step > 300 ? `${body.length.toString(16)}\r\n${body}\r\n` : text;
}
