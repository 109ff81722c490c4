import net from 'node:net';
import tls from 'node:tls';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientHelloReader } from './client-hello-reader.ts';
import { block16, block8, helloMessage, inRecords, u16, type HelloParts } from './testdata/hello-bytes.ts';

function read(bytes: Uint8Array, ...cuts: readonly number[]): { verdict: string; hello: unknown; problem: string; raw: Buffer } {
  const reader = new ClientHelloReader();
  let verdict = 'more';
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    verdict = reader.feed(bytes, at, cut);
    at = cut;
    if (verdict !== 'more') break;
  }
  return { verdict, hello: reader.hello, problem: reader.problem, raw: reader.raw };
}

function hello(parts: HelloParts): unknown {
  const { hello: parsed, problem } = read(inRecords(helloMessage(parts)));
  return parsed ?? problem;
}

const host = (name: string): object => ({ serverName: { kind: 'host', host: name } });
const unreadable = { serverName: { kind: 'unreadable' } };

describe('a ClientHello', () => {
  test.each<[string, HelloParts, unknown]>([
    ['a host', { serverName: 'a.test' }, host('a.test')],
    ['upper case', { serverName: 'API.Shop.Example' }, host('api.shop.example')],
    ['an underscore', { serverName: 'a_b.test' }, host('a_b.test')],
    ['253 characters', { serverName: `${'a'.repeat(62)}.${'b'.repeat(62)}.${'c'.repeat(62)}.${'d'.repeat(60)}.xyz` }, { serverName: { kind: 'host' } }],
    ['254 characters', { serverName: `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(62)}` }, { serverName: { kind: 'unreadable' } }],
    ['a label of 64', { serverName: `${'a'.repeat(64)}.test` }, unreadable],
    ['no name', {}, { serverName: { kind: 'absent' } }],
    ['an empty name', { serverName: '' }, unreadable],
    ['a final dot', { serverName: 'a.test.' }, unreadable],
    ['a dot first', { serverName: '.a.test' }, unreadable],
    ['two dots', { serverName: 'a..test' }, unreadable],
    ['a hyphen first', { serverName: '-a.test' }, unreadable],
    ['a hyphen last', { serverName: 'a-.test' }, unreadable],
    ['NUL', { serverName: 'a.test\0.evil' }, unreadable],
    ['a space', { serverName: 'a test' }, unreadable],
    ['a port', { serverName: 'a.test:443' }, unreadable],
    ['a wildcard', { serverName: '*.test' }, unreadable],
    ['letters beyond ASCII', { serverName: Buffer.from('bücher.test', 'utf8') }, unreadable],
    ['an IPv4 address', { serverName: '192.0.2.1' }, { serverName: { kind: 'absent' } }],
    ['an IPv6 address', { serverName: '2001:db8::1' }, { serverName: { kind: 'absent' } }],
    ['nearly an address', { serverName: '192.0.2.256' }, unreadable],
    ['digits first', { serverName: '3com.test' }, host('3com.test')],
    ['a prototype name', { serverName: '__proto__' }, host('__proto__')],
    ['protocols', { protocols: ['h2', 'http/1.1'] }, { protocols: ['h2', 'http/1.1'] }],
    ['versions with GREASE', { versions: [0x3a3a, 0x0303, 0x0304] }, { versions: [0x0304, 0x0303] }],
    ['no list of versions', {}, { versions: [0x0303] }],
    ['an old client', { withoutExtensions: true }, { versions: [0x0303], serverName: { kind: 'absent' }, protocols: [] }],
    ['a ticket', { extensions: [[35, Buffer.alloc(9)]] }, { resumes: true }],
    ['an empty ticket', { extensions: [[35, Buffer.alloc(0)]] }, { resumes: false }],
    ['a pre-shared key', { extensions: [[41, Buffer.alloc(9)]] }, { resumes: true }],
    ['an encrypted hello', { serverName: 'outer.test', extensions: [[0xfe0d, Buffer.alloc(40)]] }, { encrypted: true, ...host('outer.test') }],
    ['unknown extensions', { serverName: 'a.test', extensions: [[0x2a2a, Buffer.alloc(1)], [17, Buffer.alloc(0)]] }, host('a.test')],
  ])('%s', (_name, parts, expected) => {
    expect(hello(parts)).toMatchObject(expected as object);
  });

  test.each<[string, HelloParts, string]>([
    ['an extension twice', { serverName: 'a.test', extensions: [[0, block16(Buffer.concat([Buffer.of(0), block16(Buffer.from('b.test'))]))]] }, 'extension 0 comes twice'],
    ['an empty list of protocols', { extensions: [[16, u16(0)]] }, 'its list of protocols is not valid'],
    ['an empty protocol', { extensions: [[16, block16(Buffer.of(0))]] }, 'its list of protocols is not valid'],
    ['a protocol cut short', { extensions: [[16, block16(Buffer.of(9, 104))]] }, 'its list of protocols is not valid'],
    ['protocols with a wrong length', { extensions: [[16, Buffer.concat([u16(9), Buffer.of(1, 104)])]] }, 'its list of protocols is not valid'],
    ['odd versions', { extensions: [[43, block8(Buffer.of(3, 4, 3))]] }, 'its list of versions is not valid'],
    ['no versions', { extensions: [[43, block8(Buffer.alloc(0))]] }, 'its list of versions is not valid'],
    ['a long session id', { sessionId: Buffer.alloc(33) }, 'its session id is too long'],
    ['no cipher suite', { ciphers: Buffer.alloc(0) }, 'its list of cipher suites is not valid'],
    ['half a cipher suite', { ciphers: Buffer.alloc(3) }, 'its list of cipher suites is not valid'],
    ['no compression method', { compression: Buffer.alloc(0) }, 'it names no compression method'],
  ])('%s is refused', (_name, parts, problem) => {
    expect(hello(parts)).toBe(problem);
  });

  test.each<[string, Buffer]>([
    ['two names', block16(Buffer.concat([Buffer.of(0), block16(Buffer.from('a.test')), Buffer.of(0), block16(Buffer.from('b.test'))]))],
    ['another type of name', block16(Buffer.concat([Buffer.of(1), block16(Buffer.from('a.test'))]))],
    ['a wrong length of the list', Buffer.concat([u16(99), Buffer.of(0), block16(Buffer.from('a.test'))])],
    ['a wrong length of the name', block16(Buffer.concat([Buffer.of(0), u16(3), Buffer.from('a.test')]))],
    ['nothing', Buffer.alloc(0)],
    ['a cut list', Buffer.of(0, 1)],
  ])('a server name with %s is unreadable, never absent', (_name, content) => {
    expect(hello({ extensions: [[0, content]] })).toMatchObject(unreadable);
  });

  test('what follows the message in its segment is kept for TLS', () => {
    const bytes = Buffer.concat([inRecords(helloMessage({ serverName: 'a.test' })), Buffer.from('early data')]);
    const { verdict, raw } = read(bytes);
    expect(verdict).toBe('hello');
    expect(raw.equals(bytes)).toBe(true);
  });

  test('something else is told at the first byte that shows it', () => {
    expect(read(Buffer.from('G'))).toMatchObject({ verdict: 'not-tls' });
    expect(read(Buffer.of(22, 2))).toMatchObject({ verdict: 'not-tls' });
    expect(read(Buffer.of(0x80, 0x2e, 1, 0, 2))).toMatchObject({ verdict: 'not-tls' });
    expect(read(Buffer.alloc(0))).toMatchObject({ verdict: 'more' });
  });

  test('records that are none are refused', () => {
    expect(read(Buffer.of(22, 3, 1, 0, 0))).toMatchObject({ verdict: 'bad', problem: 'a record of 0 bytes is not allowed' });
    expect(read(Buffer.of(22, 3, 1, 0xff, 0xff))).toMatchObject({ verdict: 'bad' });
    expect(read(Buffer.of(22, 3, 1, 0, 1, 2))).toMatchObject({ verdict: 'bad', problem: 'its first message is no ClientHello' });
    const first = inRecords(helloMessage({ serverName: 'a.test' }).subarray(0, 20));
    expect(read(Buffer.concat([first, Buffer.of(21, 3, 1, 0, 2, 2, 40)]))).toMatchObject({ verdict: 'bad', problem: 'it is no handshake record' });
  });

  test('bounds: 32 KiB of message, 1,024 records, at once where the length says so', () => {
    const padding = (size: number): HelloParts => ({ extensions: [[21, Buffer.alloc(size)], [22, Buffer.alloc(10)]] });
    expect(read(inRecords(helloMessage(padding(31_000)), 16_384))).toMatchObject({ verdict: 'hello' });
    expect(read(inRecords(helloMessage(padding(33_000)), 16_384).subarray(0, 9))).toMatchObject({ verdict: 'bad', problem: 'it is longer than 32 KiB' });
    const ones = inRecords(helloMessage(padding(1_200)), ...Array.from({ length: 2_000 }, () => 1));
    expect(read(ones)).toMatchObject({ verdict: 'bad', problem: 'it is cut into more than 1024 records' });
  });
});

describe('properties', () => {
  const parts = fc.record({
    serverName: fc.oneof(fc.domain(), fc.string({ maxLength: 40 })),
    protocols: fc.uniqueArray(fc.stringMatching(/^[a-z0-9/.]{1,8}$/), { minLength: 1, maxLength: 5 }),
    versions: fc.uniqueArray(fc.constantFrom(0x0301, 0x0302, 0x0303, 0x0304, 0x1a1a), { minLength: 1 }),
    extensions: fc.uniqueArray(fc.tuple(fc.integer({ min: 100, max: 200 }), fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))), { maxLength: 4, selector: ([type]) => type }),
  });

  test('any cut into records and segments reads the same', () => {
    fc.assert(fc.property(parts, fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 12 }), fc.array(fc.nat(5000), { maxLength: 12 }), (made, sizes, cuts) => {
      const message = helloMessage(made);
      const whole = read(inRecords(message));
      const bytes = inRecords(message, ...sizes);
      const places = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
      const cut = read(bytes, ...places);
      expect(cut).toEqual({ ...whole, raw: cut.raw });
      expect(cut.raw.equals(bytes)).toBe(true);
    }), { numRuns: 500 });
  });

  test('any bytes: the same verdict for any cut, never a throw', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.tuple(parts, fc.nat(400), fc.integer({ min: 0, max: 255 })).map(([made, at, value]) => {
        const made2 = inRecords(helloMessage(made), 50);
        made2[at % made2.length] = value;
        return new Uint8Array(made2);
      }),
    );
    fc.assert(fc.property(bytes, fc.array(fc.nat(400), { maxLength: 8 }), (input, cuts) => {
      const buffer = Buffer.from(input);
      const places = [...new Set(cuts.map((cut) => cut % (buffer.length + 1)))].sort((a, b) => a - b);
      const whole = read(buffer);
      const byByte = read(buffer, ...buffer.keys());
      const cut = read(buffer, ...places);
      expect([cut.verdict, cut.hello]).toEqual([whole.verdict, whole.hello]);
      expect([byByte.verdict, byByte.hello]).toEqual([whole.verdict, whole.hello]);
    }), { numRuns: 1000 });
  });
});

test('hellos of OpenSSL with and without post-quantum key shares are read, cut at every byte', async () => {
  for (const ecdhCurve of ['X25519MLKEM768', 'X25519']) {
    const bytes = await capturedHello({ servername: 'pq.test', ALPNProtocols: ['h2', 'http/1.1'], ecdhCurve });
    expect(bytes.length > 1400).toBe(ecdhCurve === 'X25519MLKEM768');
    const { verdict, hello: parsed } = read(bytes, ...bytes.keys());
    expect(verdict).toBe('hello');
    expect(parsed).toMatchObject({ ...host('pq.test'), protocols: ['h2', 'http/1.1'], versions: [0x0304, 0x0303] });
  }
});

function capturedHello(options: tls.ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      const reader = new ClientHelloReader();
      socket.on('data', (chunk: Buffer) => {
        if (reader.feed(chunk, 0, chunk.length) === 'more') return;
        socket.destroy();
        server.close();
        resolve(reader.raw);
      });
      socket.on('error', reject);
    });
    server.listen(0, '127.0.0.1', () => {
      const client = tls.connect({ ...options, port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false });
      client.on('error', () => {});
    });
  });
}
