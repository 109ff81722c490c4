import { describe, expect, it } from 'vitest';
import { allocateText } from './byte-text.ts';
import { HeadArena } from './head-arena.ts';
import { buildRequestHead, buildResponseHead } from './head-builder.ts';
import { HeadReader } from './head-reader.ts';
import { writeRequestHead, writeResponseHead } from './head-writer.ts';
import { headerId, internHeaderName, makeField } from './header-ids.ts';
import type { MessageHead } from './message-head.ts';

const accept = headerId('accept');
const vary = headerId('vary');

function fieldsOf(head: MessageHead): [string, string][] {
  const fields: [string, string][] = [];
  head.forEach((name, value) => fields.push([name, value]));
  return fields;
}

describe('MessageHead', () => {
  it('shows every value of a field, received and added, in order', () => {
    const head = buildResponseHead({ status: 200, headers: [['Vary', 'a'], ['x-other', '1'], ['VARY', 'b']] });
    head.put(makeField('vary', 'c'));
    head.append(vary, 'd');
    expect(head.count(vary)).toBe(4);
    expect([0, 1, 2, 3, 4].map((nth) => head.valueAt(vary, nth))).toEqual(['a', 'b', 'c', 'd', '']);
  });

  it('replaces all values by set and takes all away by remove', () => {
    const head = buildResponseHead({ status: 200, headers: { vary: ['a', 'b'], server: 'x' } });
    head.append(vary, 'c');
    head.set(vary, 'z');
    expect(fieldsOf(head)).toEqual([['server', 'x'], ['vary', 'z']]);
    head.remove(vary);
    expect(head.has(vary)).toBe(false);
    expect(head.count(vary)).toBe(0);
    expect(fieldsOf(head)).toEqual([['server', 'x']]);
  });

  it('keeps names that only configuration mentions apart, however many there are', () => {
    const ids = Array.from({ length: 200 }, (_, i) => internHeaderName(`x-config-${i}`));
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: { 'X-Config-150': 'yes' } });
    expect(head.valueAt(ids[150] as number, 0)).toBe('yes');
    expect(head.has(ids[151] as number)).toBe(false);
    head.remove(ids[150] as number);
    expect(head.has(ids[150] as number)).toBe(false);
  });

  it('forks without either side seeing the other\'s changes', () => {
    const original = buildRequestHead({ method: 'GET', authority: 'a', target: '/x?y=1', headers: { accept: 'json' } });
    const fork = original.fork();
    fork.set(accept, 'xml');
    original.append(accept, 'html');
    fork.setTarget('/z', '');
    expect(fieldsOf(original)).toEqual([['host', 'a'], ['accept', 'json'], ['accept', 'html']]);
    expect(fieldsOf(fork)).toEqual([['host', 'a'], ['accept', 'xml']]);
    expect([original.target, fork.target]).toEqual(['/x?y=1', '/z']);
  });

  it('keeps every byte of a value', () => {
    const value = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).filter((c) => c >= ' ' && c !== '\x7f').join('').trim();
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: { accept: value } });
    expect(head.valueAt(accept, 0)).toBe(value);
  });

  it('refuses values that would break framing', () => {
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/' });
    for (const bad of ['a\rb', 'a\nb', 'a\0b']) {
      expect(() => head.set(accept, bad)).toThrow(/control characters/);
      expect(() => head.append(accept, bad)).toThrow(/control characters/);
    }
    expect(() => head.set(0, 'x')).toThrow(/no header name/);
  });

  it('treats names of Object.prototype as ordinary names', () => {
    const id = internHeaderName('__proto__');
    const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: [['__proto__', '1'], ['constructor', '2']] });
    expect(head.valueAt(id, 0)).toBe('1');
    expect(fieldsOf(head)).toContainEqual(['constructor', '2']);
  });

  it.each([
    ['requests', 'request', 'GET /a/b?c=1&d HTTP/1.1\r\nHost: a.example\r\nVary: x\r\nx-other: 1\r\n\r\n'],
    ['requests without a query', 'request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['responses', 'response', 'HTTP/1.1 200 OK\r\nVary: x\r\nServer: y\r\n\r\n'],
    ['responses without fields', 'response', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ] as const)('of %s says the same when it has its own bytes', (_what, kind, text) => {
    const reader = new HeadReader(kind, new HeadArena(), { bytesMax: 10_000, fieldsMax: 100 });
    const bytes = Buffer.from(text.repeat(2), 'latin1');
    reader.read(bytes, 0, text.length);
    reader.take();
    reader.read(bytes, text.length, bytes.length);
    const head = reader.take();
    const write = (): string => {
      const out = allocateText(1000);
      const end = kind === 'request' ? writeRequestHead(head, out, 0) : writeResponseHead(head, { bodiless: true, chunkedAllowed: true, connectionLine: new Uint8Array(0) }, out, 0);
      return out.latin1Slice(0, end);
    };
    head.put(makeField('x-added', '1'));
    const before = [write(), fieldsOf(head), head.count(vary), kind === 'request' ? head.bytes.length > 1000 : true];
    const fork = head.fork();
    head.detach();
    expect([write(), fieldsOf(head), head.count(vary), true]).toEqual(before);
    expect(head.bytes.length).toBeLessThan(text.length);
    expect(fieldsOf(fork)).toEqual(fieldsOf(head));
    expect(fork.target).toBe(head.target);
  });

  it('shows a changed authority in place of the host field', () => {
    const head = buildRequestHead({ method: 'GET', authority: 'A.example', target: '/' });
    expect(head.authority).toBe('a.example');
    head.setAuthority('b.example');
    expect(fieldsOf(head)).toEqual([['host', 'b.example']]);
  });
});
