import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocateText } from './byte-text.ts';
import { HeadArena } from './head-arena.ts';
import { buildRequestHead, buildResponseHead } from './head-builder.ts';
import { HeadReader } from './head-reader.ts';
import { scanComplete, type HeadKind } from './head-scanner.ts';
import { headerId, makeField } from './header-ids.ts';
import { closeLine, headSizeMax, keepAliveLine, noConnectionLine, writeNumber, writeRequestHead, writeResponseHead, writeTrailers } from './head-writer.ts';
import type { MessageHead } from './message-head.ts';

function read(kind: HeadKind, text: string): MessageHead {
  const reader = new HeadReader(kind, new HeadArena(), { bytesMax: 65_536, fieldsMax: 100 });
  const bytes = Buffer.from(text, 'latin1');
  expect(reader.read(bytes, 0, bytes.length)).toBe(scanComplete);
  return reader.take();
}

/** As sent; null where it cannot be written. The room asked for is all there is. */
function requestText(head: MessageHead): string | null {
  const out = allocateText(headSizeMax(head));
  const end = writeRequestHead(head, out, 0);
  return end < 0 ? null : out.latin1Slice(0, end);
}

function responseText(head: MessageHead, framing = { bodiless: false, chunkedAllowed: true, connectionLine: noConnectionLine }): string | null {
  const out = allocateText(headSizeMax(head));
  const end = writeResponseHead(head, framing, out, 0);
  return end < 0 ? null : out.latin1Slice(0, end);
}

const accept = headerId('accept');

describe('requests', () => {
  it('keep untouched lines byte by byte', () => {
    const head = read('request', 'GET /a?b HTTP/1.1\r\nHOST: A\r\nX-Odd:\t spaced \t\r\nConnection: x\r\nx-é: \xff\r\n\r\n'.replace('x-é', 'x-e'));
    expect(requestText(head)).toBe('GET /a?b HTTP/1.1\r\nHOST: A\r\nX-Odd:  spaced  \r\nx-e: \xff\r\n\r\n');
  });

  it('carry every change', () => {
    const head = read('request', 'GET /a?b HTTP/1.0\r\nhost: a\r\naccept: x\r\nx: 1\r\n\r\n');
    head.setTarget('/new', 'q=1');
    head.setAuthority('b.example');
    head.setMethod('PUT');
    head.set(accept, 'json');
    head.put(makeField('X-Put', 'é'));
    head.append(headerId('via'), '€');
    head.bodyLength = -1;
    expect(requestText(head)).toBe(
      'PUT /new?q=1 HTTP/1.1\r\nhost: b.example\r\nx: 1\r\naccept: json\r\nx-put: \xc3\xa9\r\nvia: \xe2\x82\xac\r\ntransfer-encoding: chunked\r\n\r\n',
    );
  });

  /**
   * A route that rewrites the host and no path, or an empty `Host`, sent the new line before the request line: the start line counted as untouched, and
   * untouched lines are copied behind what is new.
   */
  it('have a new host behind their start line, whatever else is as it was', () => {
    for (const [target, host] of [['/a?b', 'a'], ['/a?', ''], ['*', 'a']]) {
      const head = read('request', `OPTIONS ${target} HTTP/1.1\r\nHost: ${host}\r\nx: 1\r\n\r\n`);
      head.setAuthority('b.example');
      expect(requestText(head)).toBe(`OPTIONS ${target} HTTP/1.1\r\nhost: b.example\r\nx: 1\r\n\r\n`);
      expect(requestText(head.fork())).toBe(requestText(head));
    }
  });

  it('are framed by the length alone', () => {
    const head = read('request', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    expect(requestText(head)).toBe('POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\n');
    head.bodyLength = 0;
    expect(requestText(head)).toBe('POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n');
    head.setMethod('GET');
    expect(requestText(head)).toBe('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  });

  it('in absolute form go on in origin form; without Host they get an empty one', () => {
    expect(requestText(read('request', 'GET http://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n'))).toBe('GET /x?y HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(requestText(read('request', 'GET /x HTTP/1.0\r\n\r\n'))).toBe('GET /x HTTP/1.1\r\nhost: \r\n\r\n');
  });

  it('have no tabs around values (x-odd above): some servers take a leading one for a part of the value', () => {
    const head = read('request', 'GET / HTTP/1.1\r\nHost:\ta\r\nx: \t b\tc \t\r\ny:\t\r\n\r\n');
    expect(requestText(head)).toBe('GET / HTTP/1.1\r\nHost: a\r\nx:   b\tc  \r\ny: \r\n\r\n');
  });

  it.each([
    ['a path', (head: MessageHead) => head.setTarget('/a\r\nx: y', '')], ['a query', (head: MessageHead) => head.setTarget('/', 'a b')], ['a query with LF', (head: MessageHead) => head.setTarget('/', 'a\n')],
    ['an empty path', (head: MessageHead) => head.setTarget('', '')], ['a method', (head: MessageHead) => head.setMethod('G T')], ['an empty method', (head: MessageHead) => head.setMethod('')],
    ['an authority', (head: MessageHead) => head.setAuthority('a\r\nx: y')], ['a wide path', (head: MessageHead) => head.setTarget('/€', '')],
  ])('that break framing by %s are not written', (_, change) => {
    const head = read('request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    change(head);
    expect(requestText(head)).toBeNull();
  });

  it('come back the same when they are read again', () => {
    const name = fc.stringMatching(/^x-[a-z0-9!#$%&'*+.^_`|~-]{1,20}$/);
    const value = fc.stringMatching(/^[!-~\x80-\xff]([ \t!-~\x80-\xff]{0,30}[!-~\x80-\xff])?$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), fc.array(fc.nat(11), { maxLength: 4 }), fc.boolean(), (fields, removed, rewrite) => {
        const head = read('request', `GET /p?q HTTP/1.1\r\nHost: a\r\n${fields.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`);
        const gone = new Set(removed.map((i) => fields[i]?.[0]));
        head.removeWhere((n) => gone.has(n));
        if (rewrite) head.setTarget('/z', '');
        const again = read('request', requestText(head) ?? '');
        const seen: [string, string][] = [];
        again.forEach((n, v) => seen.push([n, v]));
        expect(seen).toEqual([['host', 'a'], ...fields.filter(([n]) => !gone.has(n))]);
        expect(again.target).toBe(rewrite ? '/z' : '/p?q');
      }),
    );
  });
});

describe('responses', () => {
  it('keep status line and lines, and get the framing of this connection', () => {
    const head = read('response', 'HTTP/1.1 200 Fine\r\nServer: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n');
    expect(responseText(head)).toBe('HTTP/1.1 200 Fine\r\nServer: x\r\ntransfer-encoding: chunked\r\n\r\n');
    expect(responseText(head, { bodiless: false, chunkedAllowed: false, connectionLine: closeLine })).toBe('HTTP/1.1 200 Fine\r\nServer: x\r\nconnection: close\r\n\r\n');
    expect(responseText(head, { bodiless: true, chunkedAllowed: true, connectionLine: keepAliveLine })).toBe('HTTP/1.1 200 Fine\r\nServer: x\r\nconnection: keep-alive\r\n\r\n');
  });

  it('show the length of what HEAD and 304 do not send, and none where there is none', () => {
    const bodiless = { bodiless: true, chunkedAllowed: true, connectionLine: noConnectionLine };
    expect(responseText(buildResponseHead({ status: 304, bodyLength: 10 }), bodiless)).toBe('HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n');
    expect(responseText(buildResponseHead({ status: 304, bodyLength: -1 }), bodiless)).toBe('HTTP/1.1 304 Not Modified\r\n\r\n');
    expect(responseText(buildResponseHead({ status: 204, bodyLength: 0 }), bodiless)).toBe('HTTP/1.1 204 No Content\r\n\r\n');
    expect(responseText(buildResponseHead({ status: 103, bodyLength: 0, headers: { link: 'x' } }), bodiless)).toBe('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n');
  });

  it('have the space before a reason phrase that was left out', () => {
    expect(responseText(read('response', 'HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n'))).toBe('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n');
    expect(responseText(read('response', 'HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n'))).toBe('HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n');
  });

  it('show a changed status', () => {
    const head = read('response', 'HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n');
    head.setStatus(404);
    expect(responseText(head)).toBe('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
  });
});

describe('parts', () => {
  it('trailers end the message', () => {
    const out = allocateText(200);
    const end = writeTrailers(read('trailers', 'Checksum: 1\r\n\r\n'), out, 0);
    expect(out.latin1Slice(0, end)).toBe('Checksum: 1\r\n\r\n');
    const built = writeTrailers(buildRequestHead({ method: 'GET', authority: '', target: '/', headers: { a: 'b' } }), out, 0);
    expect(out.latin1Slice(0, built)).toBe('a: b\r\n\r\n');
  });

  it('numbers have all their digits', () => {
    const out = allocateText(32);
    fc.assert(fc.property(fc.maxSafeNat(), (value) => {
      expect(out.latin1Slice(0, writeNumber(value, out, 0))).toBe(String(value));
    }));
  });
});
