import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadArena } from './head-arena.ts';
import { HeadReader } from './head-reader.ts';
import { connectionClose, scanBad, scanComplete, scanIncomplete, scanTooLarge, scanVersion, type HeadKind, type HeadLimits, type ScanVerdict } from './head-scanner.ts';
import { headerId, internHeaderName } from './header-ids.ts';
import type { MessageHead } from './message-head.ts';

const usual: HeadLimits = { bytesMax: 4096, fieldsMax: 50 };

interface Outcome {
  readonly verdict: ScanVerdict;
  readonly head: MessageHead | null;
  readonly used: number;
}

function readPieces(kind: HeadKind, pieces: readonly Uint8Array[], limits = usual): Outcome {
  const reader = new HeadReader(kind, new HeadArena(), limits);
  let before = 0;
  for (const piece of pieces) {
    const verdict = reader.read(piece, 0, piece.length);
    if (verdict === scanComplete) return { verdict, head: reader.take(), used: before + reader.used };
    if (verdict !== scanIncomplete) return { verdict, head: null, used: 0 };
    before += piece.length;
  }
  return { verdict: scanIncomplete, head: null, used: 0 };
}

const request = (text: string, limits?: HeadLimits): Outcome => readPieces('request', [Buffer.from(text, 'latin1')], limits);
const response = (text: string, limits?: HeadLimits): Outcome => readPieces('response', [Buffer.from(text, 'latin1')], limits);

function shown(head: MessageHead | null): unknown {
  if (head === null) return null;
  const fields: string[] = [];
  head.forEach((name, value) => fields.push(`${name}: ${value}`));
  return [head.method, head.authority, head.target, head.status, head.bodyLength, fields];
}

describe('requests', () => {
  it('are read into method, target, authority and fields, without what belongs to the connection', () => {
    const { head } = request(
      'POST /a/b?x=%20y HTTP/1.1\r\nHost: Shop.Example:8080\r\nConnection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\n' +
      'Accept:  text/plain \t\r\nTE: trailers\r\nContent-Length: 5\r\nEmpty:\r\n\r\nhello',
    );
    expect(shown(head)).toEqual(['POST', 'shop.example:8080', '/a/b?x=%20y', 0, 5, ['host: Shop.Example:8080', 'accept: text/plain', 'empty: ']]);
    expect([head?.path, head?.query]).toEqual(['/a/b', 'x=%20y']);
  });

  it.each([
    ['GET http://Shop.example/a?b HTTP/1.1\r\nHost: shop.example\r\n\r\n', 'shop.example', '/a?b'],
    ['GET http://shop.example HTTP/1.1\r\nHost: shop.example:80\r\n\r\n', 'shop.example', '/'],
    ['GET http://shop.example?q HTTP/1.1\r\nHost: shop.example\r\n\r\n', 'shop.example', '/?q'],
    ['OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 'a', '*'],
    ['CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n', 'a.example:443', 'a.example:443'],
    ['GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', '[::1]:80', '/'],
    ['GET / HTTP/1.1\r\nHost:\r\n\r\n', '', '/'],
    ['GET / HTTP/1.0\r\n\r\n', '', '/'],
    ['\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'a', '/'],
    ['M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n', 'a', '/x'],
  ])('in every form of target: %j', (text, authority, target) => {
    const { head, verdict } = request(text);
    expect(verdict).toBe(scanComplete);
    expect([head?.authority, head?.target]).toEqual([authority, target]);
  });

  it.each([
    ['bare LF', 'GET / HTTP/1.1\nHost: a\r\n\r\n'], ['bare LF behind a field', 'GET / HTTP/1.1\r\nHost: a\n\r\n'], ['bare CR', 'GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n'],
    ['NUL', 'GET / HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n'], ['obs-fold', 'GET / HTTP/1.1\r\nHost: a\r\nx: 1\r\n 2\r\n\r\n'], ['a space before the colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
    ['an empty name', 'GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n'], ['a line without colon', 'GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n'], ['a name with a slash', 'GET / HTTP/1.1\r\nHost: a\r\na/b: c\r\n\r\n'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'], ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'], ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    ['a Host with user information', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n'], ['a Host with a bad port', 'GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n'], ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
    ['a Host that disagrees', 'GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n'], ['an open bracket', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n'],
    ['two parts', 'GET /\r\n\r\n'], ['four parts', 'GET / x HTTP/1.1\r\nHost: a\r\n\r\n'], ['two spaces', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n'], ['a tab', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a space first', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n'], ['no leading slash', 'GET a HTTP/1.1\r\nHost: a\r\n\r\n'], ['a foreign scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['* for GET', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n'], ['a target with raw UTF-8', 'GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n'], ['HTTP in lower case', 'GET / http/1.1\r\nHost: a\r\n\r\n'],
    ['two Content-Lengths', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n'], ['a list', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n'],
    ['a sign', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n'], ['an empty length', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n'],
    ['a length beyond 2^53', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9007199254740992\r\n\r\n'], ['a length in hex', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n'],
    ['length and chunked', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['chunked and length', 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n'],
    ['chunked twice', 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['gzip, chunked', 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'], ['a vertical tab', 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n'],
    ['chunked in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'], ['five empty lines', '\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ])('are refused with %s', (_, text) => {
    expect(request(text).verdict).toBe(scanBad);
    expect(readPieces('request', [...Buffer.from(text, 'latin1')].map((byte) => Uint8Array.of(byte))).verdict).toBe(scanBad);
  });

  it.each(['GET / HTTP/2.0\r\n\r\n', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', 'GET / HTTP/0.9\r\n\r\n'])('of another version are told so: %j', (text) => {
    expect(request(text).verdict).toBe(scanVersion);
  });

  it('are forwarded or refused at the limit, never cut', () => {
    const text = (extra: number): string => `GET / HTTP/1.1\r\nHost: a\r\nx: ${'y'.repeat(extra)}\r\n\r\n`;
    const limits = { bytesMax: text(100).length, fieldsMax: 2 };
    expect(shown(request(text(100), limits).head)).toEqual(['GET', 'a', '/', 0, 0, ['host: a', `x: ${'y'.repeat(100)}`]]);
    expect(request(text(101), limits).verdict).toBe(scanTooLarge);
    expect(request(text(10_000), limits).verdict).toBe(scanTooLarge);
    expect(request(`GET / HTTP/1.1\r\nHost: a\r\nx: 1\r\ny: 1\r\n\r\n`, { bytesMax: 4096, fieldsMax: 2 }).verdict).toBe(scanTooLarge);
    expect(readPieces('request', [Buffer.from(text(50)).subarray(0, 40), Buffer.from(text(200)).subarray(40)], limits).verdict).toBe(scanTooLarge);
    expect(request(`GET /${'a'.repeat(5000)}`).verdict).toBe(scanTooLarge);
  });

  it('keep what the gateway needs, whatever Connection names', () => {
    const { head } = request('GET / HTTP/1.1\r\nHost: a\r\nConnection: close, host, authorization, x-forwarded-for, x-user\r\nAuthorization: b\r\nX-Forwarded-For: c\r\nX-User: d\r\n\r\n');
    expect(shown(head)).toEqual(['GET', 'a', '/', 0, 0, ['host: a', 'authorization: b', 'x-forwarded-for: c']]);
    expect((head?.connection ?? 0) & connectionClose).not.toBe(0);
  });

  it('know names that configuration mentioned while the head arrived', () => {
    const reader = new HeadReader('request', new HeadArena(), usual);
    const first = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nX-Late-Name: 7\r\n');
    expect(reader.read(first, 0, first.length)).toBe(scanIncomplete);
    const id = internHeaderName('x-late-name');
    const second = Buffer.from('\r\n');
    expect(reader.read(second, 0, second.length)).toBe(scanComplete);
    expect(reader.take().valueAt(id, 0)).toBe('7');
  });

  it('ask to switch to websocket only where Upgrade says so', () => {
    expect(request('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n').head?.protocol).toBe('websocket');
    expect(request('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n').head?.protocol).toBe('');
  });
});

describe('responses', () => {
  it('are read with status and framing', () => {
    expect(shown(response('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: close\r\n\r\nabc').head))
      .toEqual(['', '', '', 200, 3, ['set-cookie: a', 'set-cookie: b']]);
    expect(response('HTTP/1.1 404 Not here at all\r\n\r\n').head?.bodyLength).toBe(-1);
    expect(response('HTTP/1.1 200\r\nKeep-Alive: timeout=5, max=100\r\n\r\n').head?.keepAliveSeconds).toBe(5);
    expect(response('HTTP/1.1 800 Unheard of\r\n\r\n').head?.status).toBe(800);
    expect(response('HTTP/1.1 500 Ori\xebnt\r\n\r\n').verdict).toBe(scanComplete);
  });

  it.each([
    'HTTP/1.1 99 x\r\n\r\n', 'HTTP/1.1 099 x\r\n\r\n', 'HTTP/1.1 2000 x\r\n\r\n', 'HTTP/1.1 20 x\r\n\r\n', 'HTTP/1.1  200 x\r\n\r\n', 'HTTP/1.1 200 a\nb\r\n\r\n', '\r\nHTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n',
  ])('are refused: %j', (text) => {
    expect(response(text).verdict).toBe(scanBad);
  });
});

describe('an announcement of trailers', () => {
  it.each([
    ['x-sum', ['trailer: x-sum']], ['Grpc-Status, Grpc-Message', ['trailer: Grpc-Status, Grpc-Message']], ['Content-Length', []], ['x-sum, transfer-encoding', []], ['x\r\nTrailer: Host', []], ['', ['trailer: ']],
  ])('goes on where it can be kept: %j', (value, expected) => {
    const { head } = readPieces('request', [Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nTrailer: ${value}\r\nTransfer-Encoding: chunked\r\n\r\n`)]);
    expect(((shown(head) as unknown[])[5] as string[]).filter((field) => field.startsWith('trailer'))).toEqual(expected);
  });
});

describe('trailers', () => {
  it('leave out what frames, routes or authenticates', () => {
    const { head } = readPieces('trailers', [Buffer.from('Checksum: 1\r\nContent-Length: 5\r\nAuthorization: x\r\nGrpc-Status: 0\r\nHost: a\r\n\r\n')]);
    expect((shown(head) as unknown[])[5]).toEqual(['checksum: 1', 'grpc-status: 0']);
    expect(head?.has(headerId('authorization'))).toBe(false);
  });

  it('may be none', () => {
    expect(readPieces('trailers', [Buffer.from('\r\n')]).head?.rowCount).toBe(0);
  });
});

describe('segments', () => {
  it('change neither verdict nor result', () => {
    const line = fc.constantFrom(
      'Host: a', 'Content-Length: 3', 'Transfer-Encoding: chunked', 'X: y', 'Long: '.padEnd(700, 'z'), 'Connection: close, x', 'bad', 'Sp : x', 'N: \0', 'Accept: */*', '\rx: y', 'a: b\n',
    );
    const start = fc.constantFrom('GET / HTTP/1.1', 'POST /a?b HTTP/1.1', 'GET / HTTP/1.0', 'GET http://a/ HTTP/1.1', 'GET /x', 'G@T / HTTP/1.1', '\r\nGET / HTTP/1.1');
    fc.assert(
      fc.property(start, fc.array(line, { maxLength: 6 }), fc.array(fc.nat(2000), { maxLength: 8 }), (first, lines, cuts) => {
        const bytes = Buffer.from(`${[first, ...lines].join('\r\n')}\r\n\r\nrest`, 'latin1');
        const borders = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const pieces = borders.slice(1).map((border, i) => bytes.subarray(borders[i], border));
        const whole = readPieces('request', [bytes]);
        for (const cut of [pieces, [...bytes].map((byte) => Uint8Array.of(byte))]) {
          const outcome = readPieces('request', cut);
          expect([outcome.verdict, shown(outcome.head), outcome.used]).toEqual([whole.verdict, shown(whole.head), whole.used]);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('of one byte cost time linear in the head', () => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\nx: ${'y'.repeat(60_000)}\r\n\r\n`);
    const reader = new HeadReader('request', new HeadArena(), { bytesMax: 65_536, fieldsMax: 10 });
    const began = process.cpuUsage();
    let verdict: ScanVerdict = scanIncomplete;
    for (let i = 0; i < bytes.length; i++) verdict = reader.read(bytes, i, i + 1);
    expect(verdict).toBe(scanComplete);
    const { user } = process.cpuUsage(began);
    // Scanning the open line anew for each byte would take 1.8 × 10^9 steps, seconds.
    expect(user).toBeLessThan(1_000_000);
  });
});
