import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSpan, writeClientSpan, writeServerSpan, type ClientSpan, type ServerSpan, type SpanRecord } from './span-record.ts';
import { SpanRing, textMax } from './span-ring.ts';
import { SpanRings } from './span-rings.ts';

const text = fc.string({ unit: 'binary', maxLength: 60 }).map((made) => Buffer.from(made).toString('latin1'));
const base = {
  traceId: fc.stringMatching(/^[0-9a-f]{32}$/), spanId: fc.stringMatching(/^[0-9a-f]{16}$/), parentId: fc.constantFrom('', 'b7ad6b7169203331'), flags: fc.nat(255),
  side: fc.constantFrom('inbound' as const, 'outbound' as const, 'gateway' as const), startMs: fc.nat(2 ** 40), durationMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
  status: fc.constantFrom(0, 200, 503, 999), grpcStatus: fc.integer({ min: -1, max: 16 }), method: text, scheme: fc.constantFrom('http', 'https'), authority: text, path: text,
  protocol: fc.constantFrom('1.1', '2'), destination: text, reason: text,
};
const serverSpan: fc.Arbitrary<ServerSpan> = fc.record({
  kind: fc.constant('server' as const), ...base, bytesIn: fc.nat(), bytesOut: fc.nat(), attempts: fc.nat(0xffff), route: text, requestId: text, clientAddress: text,
  policyKind: text, policyField: text, policy: text, configVersion: text,
});
const clientSpan: fc.Arbitrary<ClientSpan> = fc.record({ kind: fc.constant('client' as const), ...base, attempt: fc.nat(0xffff), address: text, endpoint: text });

function write(ring: SpanRing, span: SpanRecord): boolean {
  return span.kind === 'server' ? writeServerSpan(ring, span) : writeClientSpan(ring, span);
}

test('what comes out is what went in, in order, however often the ring comes round', () => {
  fc.assert(fc.property(fc.array(fc.oneof(serverSpan, clientSpan), { minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 60 }), (spans, rounds) => {
    const ring = new SpanRing();
    for (let round = 0; round < rounds; round++) {
      for (const span of spans) expect(write(ring, span)).toBe(true);
      for (const span of spans) expect(ring.take(readSpan)).toEqual(span);
      expect(ring.take(readSpan)).toBeNull();
    }
    expect(ring.dropped).toBe(0);
  }), { numRuns: 60 });
});

const one: ClientSpan = {
  kind: 'client', traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), parentId: '', flags: 1, side: 'gateway', startMs: 1, durationMs: 2, status: 200, grpcStatus: -1,
  method: 'GET', scheme: 'http', authority: 'a', path: '/', protocol: '1.1', destination: '', reason: '', attempt: 1, address: '', endpoint: '',
};

test('a full ring refuses and counts; reading makes room again', () => {
  const ring = new SpanRing();
  let written = 0;
  while (write(ring, one)) written++;
  expect(written).toBeGreaterThan(1_000);
  expect(write(ring, one)).toBe(false);
  expect(ring.dropped).toBe(2);
  for (let i = 0; i < written; i++) expect(ring.take(readSpan)).toEqual(one);
  expect(ring.take(readSpan)).toBeNull();
  expect(write(ring, one)).toBe(true);
});

test('long texts are cut: fourteen of them fit a record', () => {
  const ring = new SpanRing();
  const long = 'x'.repeat(5_000);
  const span: ServerSpan = {
    ...one, kind: 'server', method: long, scheme: long, authority: long, path: long, destination: long, reason: long, route: long, requestId: long, clientAddress: long,
    policyKind: long, policyField: long, policy: long, configVersion: long, protocol: long, bytesIn: 0, bytesOut: 0, attempts: 1,
  };
  for (let i = 0; i < 100; i++) {
    expect(write(ring, span)).toBe(true);
    expect(ring.take(readSpan)).toMatchObject({ kind: 'server', path: 'x'.repeat(textMax), configVersion: 'x'.repeat(textMax) });
  }
});

test('what a dead thread had written is read, and its losses stay counted', () => {
  const rings = new SpanRings();
  const [dying, other] = [new SpanRing(), new SpanRing()];
  rings.setSource(0, dying);
  rings.setSource(1, other);
  while (write(dying, one));
  write(other, { ...one, path: '/other' });
  rings.retire(0);
  expect(rings.take(10)).toHaveLength(10);
  const rest = rings.take(1_000_000);
  expect(rest.filter(({ path }) => path === '/other')).toHaveLength(1);
  expect(rings.dropped).toBe(1);
  expect(rings.take(10)).toEqual([]);
  expect(rings.dropped).toBe(1);
});
