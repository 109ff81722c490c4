import { frame, ping, reset, uint32 } from '@remora/http/http2/testdata/frame-bytes';
import type { Choice } from '../choice.ts';
import { encodeBlock, type Field } from './field-block.ts';

/** What an upstream sends on one stream for one request. */
export interface FramedResponse {
  readonly frames: readonly Buffer[];
  /** `whole`: well-formed, must arrive as it is. `stream`: this stream's fault alone. `connection`: others on the connection may suffer. */
  readonly kind: 'whole' | 'stream' | 'connection';
  readonly status: number;
  readonly fields: readonly Field[];
  readonly body: string;
}

/** An answer to the request on this stream. `token` is in its head and in its body. */
export function generateResponseFrames(choice: Choice, streamId: number, token: string, chaos: boolean): FramedResponse {
  const status = choice.pick([200, 200, 200, 404, 204, 304, 500, 206, 800]);
  const bodiless = status === 204 || status === 304;
  const body = bodiless ? '' : choice.pick(['', token, `${token}${'x'.repeat(choice.below(2000))}`, token.repeat(1000), `HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n${'c'.repeat(16)}`]);
  const fields: Field[] = [['x-token', token], ...generateFields(choice)];
  if (!bodiless && choice.once(2)) fields.push(['content-length', String(body.length)]);
  const good = { status, fields, body };
  if (chaos && choice.once(8)) return { ...good, kind: 'connection', frames: [breakConnection(choice, streamId)] };
  if (choice.once(3)) return { ...good, kind: 'stream', frames: breakStream(choice, streamId, good, token) };
  const interim = choice.once(5) ? [head(streamId, encodeBlock(choice, [[':status', choice.pick(['100', '103', '199'])], ['link', '<x>']]), false)] : [];
  const trailers = !bodiless && choice.once(3) ? [head(streamId, encodeBlock(choice, [['x-sum', choice.hex(4)]]), true)] : [];
  const block = encodeBlock(choice, [[':status', String(status)], ...fields]);
  const end = body === '' && trailers.length === 0 && choice.once(2);
  return { ...good, kind: 'whole', frames: [...interim, head(streamId, block, end), ...(end ? [] : bodyFrames(choice, streamId, body, trailers.length === 0)), ...trailers] };
}

function generateFields(choice: Choice): Field[] {
  const fields: Field[] = [];
  for (let left = choice.below(4); left > 0; left--) {
    fields.push(choice.pick<Field>([
      ['set-cookie', `a=${choice.hex(2)}`], ['set-cookie', 'b=\xff'], ['x-empty', ''], ['__proto__', 'x'], ['x-same', choice.hex(1)], ['trailer', 'x-sum'], [`x-${choice.text(5, 'abc-_.!#$%&\'*+^`|~0')}`, choice.text(choice.below(20), 'abc ,;="\\\x80\xff').trim()],
    ]));
  }
  return fields;
}

interface Good {
  readonly status: number;
  readonly fields: readonly Field[];
  readonly body: string;
}

/** Malformed in one way (RFC 9113 sections 8.1 to 8.3), or broken off. None of it may come to a client as a whole answer. */
function breakStream(choice: Choice, id: number, { status, fields, body }: Good, token: string): Buffer[] {
  const split = `HTTP/1.1 200 OK\r\nX-Token: ${token}\r\nContent-Length: 0\r\n\r\n`;
  const answer = (list: readonly Field[], end = false): Buffer[] => [head(id, encodeBlock(choice, list), end), ...(end ? [] : bodyFrames(choice, id, body, true))];
  const plain = fields.filter(([name]) => name !== 'content-length');
  const withField = (...more: Field[]): Buffer[] => answer([[':status', '200'], ...plain, ...more]);
  return choice.pick<() => Buffer[]>([
    () => withField(['x-bad', `a\r\n\r\n${split}`]), () => withField(['x-bad', 'a\nb']), () => withField(['x-bad', 'a\rb']), () => withField(['x-bad', 'a\0b']), () => withField([`x-bad: a\r\n\r\n${split}x`, 'a']),
    () => withField(['X-Upper', 'a']), () => withField(['x bad', 'a']), () => withField(['x:bad', 'a']), () => withField(['', 'a']), () => withField(['x-bad', ' a']),
    () => withField(['connection', 'close']), () => withField(['transfer-encoding', 'chunked']), () => withField(['keep-alive', 'timeout=5']), () => withField(['upgrade', 'h2c']), () => withField(['proxy-connection', 'close']),
    () => answer([[':status', '200'], ...plain, ['content-length', String(body.length + 7)]]), () => answer([[':status', '200'], ...plain, ['content-length', '-1']]), () => answer([[':status', '200'], ['content-length', '1'], ['content-length', '2']]),
    () => answer([...plain]), () => answer([[':status', '99']]), () => answer([[':status', '2000']]), () => answer([[':status', '20x']]), () => answer([[':status', '200 OK\r\nx: y']]), () => answer([[':status', '101']]),
    () => answer([[':status', '200'], [':status', '200']]), () => answer([[':status', '200'], [':path', '/']]), () => answer([['x-first', 'a'], [':status', '200']]),
    () => [head(id, encodeBlock(choice, [[':status', '103']]), true)],
    () => [head(id, encodeBlock(choice, [[':status', String(status === 204 || status === 304 ? 200 : status)], ...plain]), false), ...bodyFrames(choice, id, `${token}part`, false), reset(id, choice.pick([2, 7, 8]))],
    () => [reset(id, choice.pick([1, 2, 7, 8]))],
    () => [head(id, encodeBlock(choice, [[':status', '200'], ...plain]), false), ...bodyFrames(choice, id, body, false), head(id, encodeBlock(choice, [[':status', '200']]), true)],
    () => [head(id, encodeBlock(choice, [[':status', '200'], ...plain]), false), head(id, encodeBlock(choice, [['x-sum\r\ny', '1']]), true)],
    () => [head(id, encodeBlock(choice, [[':status', '200'], ...plain]), false), head(id, encodeBlock(choice, [['x-sum', '1']]), false)],
    () => [frame(0, 1, id, Buffer.from(token))],
  ])();
}

/** Ends the connection with all that is on it. */
function breakConnection(choice: Choice, id: number): Buffer {
  return choice.pick([
    frame(1, 5, id, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])), frame(5, 4, id, Buffer.concat([uint32(2), Buffer.from([0x82])])), frame(0, 1, 0, Buffer.from('x')), frame(0, 1, id + 100, Buffer.from('x')),
    frame(7, 0, 0, Buffer.concat([uint32(0, 11), Buffer.from('calm')])), frame(8, 0, 0, uint32(0)), frame(8, 0, id, uint32(0)), frame(4, 0, 0, Buffer.alloc(5)), frame(6, 0, 0, Buffer.alloc(7)),
    Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), Buffer.concat([frame(1, 1, id, Buffer.from([0x88])), ping]), frame(9, 4, id, Buffer.from([0x88])), Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0, 0]), uint32(id)]),
  ]);
}

function head(streamId: number, block: Buffer, end: boolean): Buffer {
  return frame(1, 4 | (end ? 1 : 0), streamId, block);
}

function bodyFrames(choice: Choice, streamId: number, body: string, end: boolean): Buffer[] {
  const bytes = Buffer.from(body, 'latin1');
  const size = choice.pick([10, 1000, 16_000]);
  const step = bytes.length / size > 40 ? 16_000 : size;
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) frames.push(frame(0, end && at + step >= bytes.length ? 1 : 0, streamId, bytes.subarray(at, at + step)));
  if (bytes.length === 0 && end) frames.push(frame(0, 1, streamId));
  return frames;
}
