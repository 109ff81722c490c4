import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { allocateText } from '../byte-text.ts';
import { buildRequestHead, buildResponseHead } from '../head-builder.ts';
import { headerId, internHeaderName, makeField } from '../header-ids.ts';
import type { MessageHead } from '../message-head.ts';
import { HpackEncoder, blockSizeMax } from './hpack-encoder.ts';
import { HeaderBlockReader, fieldsOf } from './testdata/header-block-reader.ts';

// Few names and values, so that tables are used; and any others, so that everything else is.
const name = fc.oneof(fc.constantFrom('accept', 'x-one', 'x-two', 'authorization', 'x-api-key', 'traceparent', 'server'), fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,20}$/));
const value = fc.oneof(fc.constantFrom('', 'a', 'yes', 'gzip, deflate'), fc.string({ unit: 'binary-ascii', maxLength: 60 }), fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), maxLength: 300 }))
  .map((text) => Buffer.from(Buffer.from(text, 'latin1').filter((byte) => byte >= 32 && byte !== 127)).toString('latin1').trim());
const special: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'upgrade', 'expect', 'keep-alive', 'proxy-connection', 'cookie']);
const fields = fc.array(fc.tuple(name.filter((one) => !special.has(one)), value), { maxLength: 12 });
const path = fc.stringMatching(/^\/[A-Za-z0-9_~!$&'()*+,=:@/?-]{0,40}$/);

interface Message {
  readonly kind: 'request' | 'response' | 'trailers';
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly bodyLength: number;
  readonly fields: readonly (readonly [string, string])[];
  /** Added as filters do it. */
  readonly added: readonly (readonly [string, string])[];
  /** The peer changes its table. */
  readonly tableBytes: number | null;
}

const message: fc.Arbitrary<Message> = fc.record({
  kind: fc.constantFrom('request', 'response', 'trailers'),
  method: fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS', 'PROPFIND'),
  path,
  status: fc.constantFrom(200, 204, 206, 304, 400, 404, 418, 500, 103),
  bodyLength: fc.constantFrom(-1, 0, 5, 123_456_789_012),
  fields,
  added: fc.array(fc.tuple(fc.constantFrom('x-added', 'x-one', 'via'), value), { maxLength: 3 }),
  tableBytes: fc.option(fc.constantFrom(0, 50, 4096, 200), { freq: 5 }),
});

const prepared = ['x-prepared', 'server-timing'].map((one) => makeField(one, 'a value that configuration has prepared'));

function headOf(one: Message): MessageHead {
  const head = one.kind === 'request' ? buildRequestHead({ method: one.method, authority: 'orders.mesh:8080', target: one.path, headers: one.fields, bodyLength: one.bodyLength })
    : buildResponseHead({ status: one.kind === 'response' ? one.status : 0, headers: one.fields, bodyLength: one.bodyLength });
  for (const [added, text] of one.added) head.append(internHeaderName(added), text);
  if (one.fields.length % 2 === 0) for (const field of prepared) head.put(field);
  return head;
}

/** What a peer reads of it. */
function expected(one: Message, head: MessageHead): string[] {
  const all: string[] = [];
  head.forEach((known, text) => all.push(`${known}: ${text.trim()}`));
  return one.kind === 'trailers' ? all.filter((line) => !/^(authorization): /.test(line)) : all;
}

test('what an encoder writes is what a decoder reads, message after message, whatever the table', () => {
  fc.assert(fc.property(fc.array(message, { minLength: 1, maxLength: 25 }), (messages) => {
    const encoder = new HpackEncoder(4096);
    const reader = new HeaderBlockReader();
    reader.limits = { bytesMax: 1_000_000, fieldsMax: 100 };
    const out = allocateText(100_000);
    for (const one of messages) {
      if (one.tableBytes !== null) {
        encoder.setPeerLimit(one.tableBytes);
        reader.decoder.setLimit(one.tableBytes);
      }
      const head = headOf(one);
      const lines = expected(one, head);
      const end = one.kind === 'request' ? encoder.encodeRequest(head, out, 0) : one.kind === 'response' ? encoder.encodeResponse(head, false, out, 0) : encoder.encodeTrailers(head, out, 0);
      expect(end).toBeGreaterThanOrEqual(0);
      expect(end).toBeLessThanOrEqual(blockSizeMax(head));
      const read = reader.read(out.subarray(0, end), one.kind, one.kind === 'trailers');
      expect(fieldsOf(read)).toEqual(lines);
      expect(encoder.tableBytes).toBe(reader.decoder.tableBytes);
      if (one.kind === 'request') {
        expect(read).toMatchObject({ method: one.method, target: one.path, authority: 'orders.mesh:8080', bodyLength: one.bodyLength > 0 ? one.bodyLength : -1 });
      } else if (one.kind === 'response') {
        expect(read).toMatchObject({ status: one.status, bodyLength: one.status === 103 || one.status === 204 ? -1 : one.bodyLength });
      }
    }
  }), { numRuns: 300 });
});

test('any bytes as header blocks decode, are refused, or end the connection; nothing is thrown', () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), fc.constantFrom('request', 'response', 'trailers'), (blocks, kind) => {
    const reader = new HeaderBlockReader();
    for (const block of blocks) {
      const read = reader.read(block, kind);
      if (read === 'compression') return;
      expect(reader.decoder.tableBytes).toBeLessThanOrEqual(4096);
      if (typeof read !== 'string') for (const line of fieldsOf(read)) expect(line).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+: [^\r\n\0]*$/);
    }
  }), { numRuns: 2000 });
});

test('secrets are never in the table, and say so', () => {
  const encoder = new HpackEncoder(4096);
  const out = allocateText(10_000);
  const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: [['authorization', 'Bearer abc'], ['cookie', 'sid=1'], ['x-api-key', 'k'], ['X-Access-Token', 't']] });
  const response = buildResponseHead({ status: 200, headers: { 'set-cookie': 'sid=1' } });
  const reader = new HeaderBlockReader();
  for (let i = 0; i < 4; i++) {
    const read = reader.read(out.subarray(0, encoder.encodeRequest(head, out, 0)), 'request') as MessageHead;
    // Rows 1 to 4; the cookie line is made anew from its crumbs.
    expect(read.neverIndexed & 0b01110).toBe(0b01110);
    reader.read(out.subarray(0, encoder.encodeResponse(response, true, out, 0)), 'response');
  }
  // `:authority: a`.
  expect(encoder.tableBytes).toBe(32 + 11);
});

test('a field that its sender wants never to be indexed is not indexed on its way on (RFC 7541 section 7.1.3)', () => {
  const reader = new HeaderBlockReader();
  const block = Buffer.concat([Buffer.from([0x82, 0x86, 0x84, 0x01, 0x01, 0x61, 0x10, 0x03]), Buffer.from('x-a'), Buffer.from([1, 0x31])]);
  const encoder = new HpackEncoder(4096);
  const out = allocateText(1000);
  for (let i = 0; i < 4; i++) {
    const head = reader.read(block, 'request') as MessageHead;
    const again = new HeaderBlockReader().read(out.subarray(0, new HpackEncoder(4096).encodeRequest(head.fork(), out, 0)), 'request') as MessageHead;
    expect(again.neverIndexed).toBe(2);
    encoder.encodeRequest(head, out, 0);
  }
  expect(encoder.tableBytes).toBe(32 + 11);
});

test('what cannot be written is refused, and leaves the table as it was', () => {
  const encoder = new HpackEncoder(4096);
  const out = allocateText(1000);
  const head = (change: (head: MessageHead) => void): MessageHead => {
    const made = buildRequestHead({ method: 'GET', authority: 'a', target: '/' });
    change(made);
    return made;
  };
  for (const bad of [head((h) => h.setMethod('GE T')), head((h) => h.setMethod('')), head((h) => h.setPath('/a b')), head((h) => h.setPath('')), head((h) => h.setTarget('/', 'a\r\nb')), head((h) => h.setAuthority('a b')), head((h) => h.setPath('/ü€'))]) {
    expect(encoder.encodeRequest(bad, out, 0)).toBe(-1);
  }
  for (const status of [0, 99, 101, 1000]) expect(encoder.encodeResponse(buildResponseHead({ status }), true, out, 0)).toBe(-1);
  expect(encoder.tableBytes).toBe(0);
  const wide = buildResponseHead({ status: 200 });
  wide.set(headerId('server'), 'grüße €');
  const read = new HeaderBlockReader().read(out.subarray(0, encoder.encodeResponse(wide, true, out, 0)), 'response') as MessageHead;
  expect(Buffer.from(read.valueAt(headerId('server'), 0), 'latin1').toString()).toBe('grüße €');
});
