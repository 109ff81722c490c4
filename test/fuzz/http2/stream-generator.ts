import { data, frame, ping, prefaceBytes, reset, settings, settingsAck, windowUpdate } from '@remora/http/http2/testdata/frame-bytes';
import { Choice } from '../choice.ts';
import { tokenPath } from '../http1/request-generator.ts';
import { encodeBlock, type Field } from './field-block.ts';

/** What a client of HTTP/2 sends on one connection. */
export interface StreamConversation {
  /** First half of every token of this connection. */
  readonly prefix: string;
  readonly requests: readonly StreamRequest[];
  readonly bytes: Buffer;
  /** No frame was spoiled; single requests may still be malformed. */
  readonly framesValid: boolean;
}

export interface StreamRequest {
  readonly streamId: number;
  readonly token: string;
  readonly method: string;
  readonly fields: readonly Field[];
  readonly body: string;
  /** Well-formed (RFC 9113 section 8): to be served. Else to be refused or reset, without a trace at the upstream. */
  readonly valid: boolean;
  /** The client resets it itself. */
  readonly cancelled: boolean;
}

/** One to six requests whose frames are interleaved, with control frames between them. */
export function generateStreams(seed: number, givenPrefix?: string): StreamConversation {
  const choice = new Choice(seed);
  const ownPrefix = choice.hex(8);
  const prefix = givenPrefix ?? ownPrefix;
  const requests: StreamRequest[] = [];
  const queues: Buffer[][] = [];
  for (let nth = 0, count = choice.pick([1, 1, 2, 3, 6]); nth < count; nth++) {
    const { request, frames } = generateRequest(choice, nth * 2 + 1, prefix + choice.hex(8));
    requests.push(request);
    queues.push(frames);
  }
  let bytes: Buffer = Buffer.concat([prefaceBytes, generateSettings(choice), ...interleave(choice, queues), settingsAck]);
  const framesValid = !choice.once(4);
  if (!framesValid) bytes = spoil(choice, bytes);
  return { prefix, requests, bytes, framesValid };
}

interface GeneratedRequest {
  readonly request: StreamRequest;
  readonly frames: Buffer[];
}

function generateRequest(choice: Choice, streamId: number, token: string): GeneratedRequest {
  const method = choice.pick(['GET', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'QUERY']);
  const body = method === 'HEAD' || choice.once(2) ? '' : generateBody(choice, token);
  const path = `${tokenPath(token)}${choice.pick(['', '', '/a', '/%41', '?a=b', '/a+b?x=%2F'])}`;
  const fields: Field[] = [[':method', method], [':scheme', 'http'], [':path', path], [':authority', 'app'], ...generateFields(choice, token)];
  if (body !== '' && choice.once(2)) fields.push(['content-length', String(body.length)]);
  const spoiled = choice.once(3);
  const sent = spoiled ? spoilFields(choice, fields, body, token) : fields;
  const cancelled = choice.once(15);
  const trailers = body !== '' && choice.once(4) ? encodeBlock(choice, [['x-sum', choice.hex(4)]]) : null;
  const frames = [...headFrames(choice, streamId, encodeBlock(choice, sent), body === ''), ...(body === '' ? [] : dataFrames(choice, streamId, body, trailers === null))];
  if (trailers !== null) frames.push(...headFrames(choice, streamId, trailers, true));
  if (cancelled) frames.push(reset(streamId, choice.pick([0, 2, 8])));
  return { request: { streamId, token, method, fields: sent, body, valid: !spoiled, cancelled }, frames };
}

function generateFields(choice: Choice, token: string): Field[] {
  const fields: Field[] = [['x-token', token]];
  for (let left = choice.below(5); left > 0; left--) {
    fields.push(choice.pick<Field>([
      ['cookie', 'a=b'], ['cookie', 'c=d'], ['x-same', '1'], ['x-same', '2'], ['x-empty', ''], ['te', 'trailers'], ['__proto__', 'x'], ['constructor', 'y'],
      [`x-${choice.text(choice.between(1, 10), 'abc-_.!#$%&\'*+^`|~0')}`, choice.text(choice.below(20), 'abc ,;=\t"\\\x80\xff').trim()],
      ['x-long', choice.text(choice.pick([100, 1000]), 'abcdef')], ['x-forwarded-for', '10.0.0.1'], ['x_forwarded_for', 'spoofed'], ['via', '2 somebody'], ['range', 'bytes=0-1'],
    ]));
  }
  return fields;
}

function generateBody(choice: Choice, token: string): string {
  return choice.pick([token, `${token}${choice.text(choice.below(300), 'abc\0\r\n')}`, `0\r\n\r\nGET /t/${'e'.repeat(16)} HTTP/1.1\r\nHost: smuggled\r\n\r\n`, choice.text(200, 'abc\r\n').repeat(100)]);
}

/** What security.md 2.1 is about: each makes the request malformed, so that it may not be forwarded. */
function spoilFields(choice: Choice, fields: readonly Field[], body: string, token: string): Field[] {
  const smuggled = `GET /t/${token.slice(0, 8)}dddddddd HTTP/1.1\r\nHost: in\r\n\r\n`;
  const add = (...more: Field[]): Field[] => { const at = choice.between(4, fields.length); return [...fields.slice(0, at), ...more, ...fields.slice(at)]; };
  const change = (name: string, value: string): Field[] => fields.map((field) => (field[0] === name ? [name, value] : field));
  const pathOf = fields.find(([name]) => name === ':path')?.[1] ?? '';
  return choice.pick<() => Field[]>([
    () => add(['x-bad', `a\r\n${smuggled}`]), () => add(['x-bad', 'a\nb']), () => add(['x-bad', 'a\rb']), () => add(['x-bad', 'a\0b']), () => add(['x-bad', ' a']), () => add(['x-bad', 'a\t']),
    () => add(['x-bad\r\ny', 'a']), () => add(['x bad', 'a']), () => add(['X-Bad', 'a']), () => add(['x:bad', 'a']), () => add(['', 'a']), () => add([`x-bad: a\r\n\r\n${smuggled}x`, 'a']),
    () => add(['transfer-encoding', 'chunked']), () => add(['connection', 'close']), () => add(['connection', 'x-token']), () => add(['keep-alive', '1']), () => add(['proxy-connection', 'x']), () => add(['upgrade', 'h2c']), () => add(['te', 'gzip']),
    () => add(['content-length', String(body.length + 1)]), () => add(['content-length', '-1']), () => add(['content-length', '5, 5']), () => add(['content-length', '+5']), () => add(['content-length', '']), () => add(['content-length', '1'], ['content-length', '2']),
    () => add(['host', 'other']), () => add([':method', 'GET']), () => add([':path', '/x']), () => add([':unknown', 'x']), () => add([':status', '200']), () => add([':protocol', 'x']),
    () => change(':method', 'GET / HTTP/1.1\r\nx:'), () => change(':method', 'G T'), () => change(':method', ''), () => change(':path', pathOf.slice(1)), () => change(':path', ''), () => change(':path', `${pathOf} HTTP/1.1\r\nx: y`),
    () => change(':path', `${pathOf}#f`), () => change(':path', `${pathOf} x`), () => change(':path', `http://other${pathOf}`), () => change(':path', `${pathOf}\n`), () => change(':scheme', ''), () => change(':scheme', 'http://x/'),
    () => change(':authority', 'a b'), () => change(':authority', 'user@app'), () => change(':authority', 'app\r\nx: y'), () => change(':authority', 'app/x'),
    () => fields.filter(([name]) => name !== ':method'), () => fields.filter(([name]) => name !== ':path'), () => fields.filter(([name]) => name !== ':scheme'),
    () => [...fields.slice(1), fields[0] as Field],
  ])();
}

/** HEADERS, cut into CONTINUATION frames now and then, padded, with priority. */
function headFrames(choice: Choice, streamId: number, block: Buffer, end: boolean): Buffer[] {
  const cuts = choice.once(5) && block.length > 2 ? [choice.between(1, block.length - 1)] : [];
  const parts = [0, ...cuts].map((at, i) => block.subarray(at, cuts[i] ?? block.length));
  return [Buffer.concat(parts.map((part, i) => {
    const last = i === parts.length - 1 ? endHeaders : 0;
    if (i > 0) return frame(9, last, streamId, part);
    const priority = choice.once(8) ? Buffer.concat([Buffer.from([0, 0, 0, 0]), Buffer.from([choice.below(256)])]) : Buffer.alloc(0);
    const padding = choice.once(8) ? choice.below(20) : -1;
    const payload = Buffer.concat([padding < 0 ? Buffer.alloc(0) : Buffer.from([padding]), priority, part, Buffer.alloc(Math.max(0, padding))]);
    return frame(1, last | (end ? endStream : 0) | (priority.length > 0 ? 0x20 : 0) | (padding < 0 ? 0 : padded), streamId, payload);
  }))];
}

function dataFrames(choice: Choice, streamId: number, body: string, end: boolean): Buffer[] {
  const frames: Buffer[] = [];
  const step = choice.pick([1, 7, 500, 16_000]);
  const bytes = Buffer.from(body, 'latin1');
  const size = bytes.length / step > 60 ? 16_000 : step;
  for (let at = 0; at < bytes.length; at += size) {
    const last = end && at + size >= bytes.length && !choice.once(6);
    const part = bytes.subarray(at, at + size);
    const padding = choice.once(10) ? choice.below(30) : -1;
    frames.push(padding < 0 ? data(streamId, part, last) : frame(0, padded | (last ? endStream : 0), streamId, Buffer.concat([Buffer.from([padding]), part, Buffer.alloc(padding)])));
    if (end && at + size >= bytes.length && !last) frames.push(data(streamId, '', true));
  }
  return frames;
}

function generateSettings(choice: Choice): Buffer {
  return settings(...choice.pick<readonly (readonly [number, number])[]>([[], [], [[4, 1_000_000]], [[1, 0]], [[1, 100], [4, 65_535]], [[5, 20_000]], [[0x99, 7]], [[4, 1000]]]));
}

/** Streams in the order of their numbers, their frames in any order between each other; control frames here and there. */
function interleave(choice: Choice, queues: readonly Buffer[][]): Buffer[] {
  const out: Buffer[] = [];
  let opened = 0;
  for (;;) {
    const open = queues.slice(0, opened).filter((queue) => queue.length > 0);
    if (opened < queues.length && (open.length === 0 || choice.once(3))) {
      out.push(queues[opened++]?.shift() as Buffer);
      continue;
    }
    if (open.length === 0) return out;
    out.push(choice.pick(open).shift() as Buffer);
    if (choice.once(8)) out.push(choice.pick([ping, windowUpdate(0, 1000), settings([4, choice.pick([0, 1000, 100_000])]), windowUpdate(0, 100_000), frame(0xbe, 0, 0, Buffer.from('unknown')), frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 5]))]));
  }
}

/** Bytes behind the preface are changed, put in, taken away, or a whole frame that has no place there comes. */
function spoil(choice: Choice, bytes: Buffer): Buffer {
  const at = choice.between(prefaceBytes.length, bytes.length - 1);
  switch (choice.below(6)) {
    case 0: {
      const changed = Buffer.from(bytes);
      changed[at] = choice.below(256);
      return changed;
    }
    case 1:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from([choice.below(256)]), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + choice.between(1, 20))]);
    case 3:
      return bytes.subarray(0, at);
    case 4:
      return Buffer.concat([bytes, ...flood(choice)]);
    default:
      return Buffer.concat([bytes, frame(choice.below(12), choice.below(256), choice.pick([0, 1, 2, 3, 99]), Buffer.alloc(choice.pick([0, 4, 5, 8, 20])))]);
  }
}

/** Frames that cost who reads them more than who sends them (security.md 2.2 to 2.4). */
function flood(choice: Choice): Buffer[] {
  const times = choice.pick([100, 1000, 5000]);
  const fresh = (nth: number): number => 1001 + nth * 2;
  const many = (one: Buffer): Buffer[] => Array.from({ length: times }, () => one);
  return choice.pick<() => Buffer[]>([
    () => many(ping),
    () => many(settings([4, 1000])),
    () => many(windowUpdate(0, 1)),
    () => many(frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 5]))),
    () => [frame(1, 0, fresh(0), Buffer.alloc(0)), ...many(frame(9, 0, fresh(0), Buffer.from([0x82])))],
    () => [frame(1, endHeaders | endStream, fresh(0), Buffer.alloc(Math.min(times, 4000), 0x82))],
    () => Array.from({ length: times }, (_, nth) => Buffer.concat([frame(1, endHeaders, fresh(nth), encodeBlock(choice, [[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', 'app']])), reset(fresh(nth))])),
    () => [frame(1, endHeaders, fresh(0), encodeBlock(choice, [[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', 'app']])), ...many(data(fresh(0), ''))],
    () => [frame(1, endHeaders, fresh(0), encodeBlock(choice, [[':method', 'POST'], [':scheme', 'http'], [':path', '/'], [':authority', 'app']])), ...many(data(fresh(0), 'x'))],
  ])();
}

const endStream = 1;
const endHeaders = 4;
const padded = 8;
