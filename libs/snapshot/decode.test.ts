import { contentHash } from '@remora/core/hash';
import { systemClock } from '@remora/core/clock';
import { WireError, type RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { EntryType, Manifest, Scope } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { describe, expect, test } from 'vitest';
import type { Candidate } from './candidate.ts';
import { decodeInSlices, decodeSnapshot, decodeSteps, type DecodeResult, type RuntimeKinds } from './decode.ts';
import { DecodeCache } from './decode-cache.ts';

const orders = { kind: 'service', name: 'orders' } as const;
const edge = { kind: 'gateway', name: 'edge' } as const;
const rateLimit = textKind('rateLimit', 'provider', 2);
const timeout = textKind('timeout', 'caller', 1);
const cors = textKind('cors', 'provider', 1);
const kinds: RuntimeKinds = new Map([rateLimit, timeout, cors].map((kind) => [kind.name, kind]));

/** Settings are the text of the body; `bad …` is refused. */
function textKind(name: string, side: 'provider' | 'caller', format: number): RuntimeKind<unknown> {
  return {
    name, format, side, reasons: [],
    decode(bytes) {
      const text = Buffer.from(bytes).toString();
      if (text.startsWith('bad')) throw new WireError('/limits/perIp/requests', 'out-of-range', 'must be at least 1');
      if (text === 'crash') throw new RangeError('beyond the end');
      return Object.freeze({ text });
    },
  };
}

function section(kind: string, text: string, more: { minFormat?: number; shadow?: boolean; origins?: { pointer: string; policy: string }[] } = {}): {
  kind: string; minFormat: number; body: Buffer; shadow: boolean; origins: { pointer: string; policy: string }[];
} {
  return { kind, minFormat: more.minFormat ?? 1, body: Buffer.from(text), shadow: more.shadow ?? false, origins: more.origins ?? [] };
}

function serviceCandidate(): Candidate {
  const builder = new CandidateBuilder(orders, { pageEntries: 2 }).fleet({ trustDomain: 'shop', unknownDestinations: 'pass' });
  const settings = builder.settings(section('timeout', 't'), section('rateLimit', 'r'), section('cors', 'c', { shadow: true }));
  return builder
    .inbound({ portName: 'http', settings })
    .destination({ service: 'payments' })
    .route({ name: 'v2', scope: Scope.SCOPE_OUTBOUND, owner: 'payments', action: { $case: 'forward', value: { targets: [{ labels: [{ key: 'version', value: 'v2' }], weight: 3 }] } } })
    .route({ name: 'list', settings, match: { path: { kind: { $case: 'prefix', value: '/orders' } }, headers: [{ name: 'x-a', kind: { $case: 'present', value: false } }] } })
    .build({ epoch: 7, index: 41 });
}

function codes(result: DecodeResult): readonly string[] {
  return result.ok ? ['ok'] : result.errors.map(({ resource, code }) => `${resource}: ${code}`);
}

describe('decodeSnapshot', () => {
  test('gives the parts without wire messages, frozen, sections in the order in which kinds run', () => {
    const result = decodeSnapshot(serviceCandidate(), kinds);
    if (!result.ok) throw new Error(JSON.stringify(result.errors));
    const { snapshot } = result;
    expect(snapshot).toMatchObject({ subject: orders, version: { epoch: 7, index: 41 }, fleet: { trustDomain: 'shop', unknownDestinations: 'pass' } });
    expect(snapshot.inbounds.get('http')).toMatchObject({ name: 'http', port: 8080, pathRules: null });
    expect(snapshot.inbounds.get('http')?.settings.sections.map(({ kind, shadow }) => [kind, shadow])).toEqual([['cors', true], ['rateLimit', false], ['timeout', false]]);
    expect(snapshot.inbounds.get('http')?.settings.sections[1]?.settings).toEqual({ text: 'r' });
    expect(snapshot.routes.map(({ id }) => id)).toEqual(['inbound/orders/list', 'outbound/payments/v2']);
    expect(snapshot.routes[0]?.match).toMatchObject({ path: { kind: 'prefix', value: '/orders' }, headers: [{ name: 'x-a', kind: 'present', invert: true }] });
    expect(snapshot.routes[1]?.action).toMatchObject({ kind: 'forward', targets: [{ labels: ['version=v2'], weight: 3 }] });
    expect(snapshot.routes[0]?.settings).toBe(snapshot.inbounds.get('http')?.settings);
    expect(Object.isFrozen(snapshot.routes[0]?.match.headers)).toBe(true);
  });

  test('reports everything that is wrong at once, at the place the author knows', () => {
    const builder = new CandidateBuilder(edge);
    const settings = builder.settings(
      section('rateLimit', 'bad', { origins: [{ pointer: '/limits/perIp', policy: 'public-api' }, { pointer: '/limits/other', policy: 'else' }] }),
      section('jwt', '?'),
      section('timeout', 't', { minFormat: 3 }),
      section('cors', 'crash'),
    );
    const result = decodeSnapshot(builder
      .route({ name: 'api', settings, priority: 5_000_000, match: { methods: ['GE T'], path: { kind: { $case: 'exact', value: 'x' } } } })
      .route({ name: 'other', settings, action: { $case: 'redirect', value: { status: 200, scheme: 'ftp' } } })
      .build(), kinds);
    expect(result.ok ? [] : result.errors.map(({ resource, kind, pointer, code, policies }) => [resource, kind, pointer, code, policies])).toEqual([
      ['gateway/edge/api', '', '/priority', 'out-of-range', []],
      ['gateway/edge/api', '', '/match/path/exact', 'invalid-value', []],
      ['gateway/edge/api', '', '/match/methods/0', 'invalid-value', []],
      ['gateway/edge/other', '', '/redirect/status', 'out-of-range', []],
      ['gateway/edge/other', '', '/redirect/scheme', 'invalid-value', []],
      ['gateway/edge/api', 'rateLimit', '/limits/perIp/requests', 'out-of-range', ['public-api']],
      ['gateway/edge/api', 'jwt', '', 'unknown-kind', []],
      ['gateway/edge/api', 'timeout', '', 'newer-format', []],
      ['gateway/edge/api', 'cors', '', 'undecodable', []],
    ]);
    expect(JSON.stringify(result)).toContain('this build does not know the policy kind jwt (in 2 places with the same settings)');
  });

  test('keeps the list of errors bounded', () => {
    const builder = new CandidateBuilder(edge);
    for (let i = 0; i < 300; i++) builder.route({ name: `r${i}`, priority: 5_000_000 });
    const result = decodeSnapshot(builder.build(), kinds);
    expect(result.ok ? 0 : result.errors.length).toBe(101);
    expect(result.ok ? '' : result.errors.at(-1)?.message).toBe('200 more errors are not listed');
  });

  const base = (): CandidateBuilder => new CandidateBuilder(orders).fleet().inbound({ portName: 'http' }).route({ name: 'a' }).route({ name: 'b' });
  const broken: readonly [string, () => Candidate, readonly string[]][] = [
    ['a manifest that is not its hash', () => ({ ...base().build(), hash: contentHash('x') }), ['manifest: hash-mismatch']],
    ['bytes that are no manifest', () => ({ ...base().build(), manifest: Buffer.from([0xff]), hash: contentHash(Buffer.from([0xff])) }), ['manifest: undecodable']],
    ['another subject', () => ({ ...base().build(), subject: { kind: 'service', name: 'web' } }), ['manifest: wrong-subject']],
    ['entries out of order', () => base().buildWith((entries) => entries.toReversed()), ['inbound/orders/a: unsorted', 'inbound port http: unsorted', 'mesh: unsorted']],
    ['an entry twice', () => base().buildWith((entries) => entries.flatMap((entry) => entry.name === 'mesh' ? [entry, entry] : [entry])), ['mesh: duplicate']],
    ['a type that is not the resource\'s', () => base().buildWith((entries) => entries.map((entry) => entry.name === 'http' ? { ...entry, type: EntryType.ENTRY_TYPE_LISTENER } : entry)), ['listener http: wrong-type']],
    ['a name that is not the resource\'s', () => base().buildWith((entries) => entries.map((entry) => entry.name === 'http' ? { ...entry, name: 'grpc' } : entry)), ['inbound port grpc: name-mismatch']],
  ];
  test.each(broken)('refuses %s', (_name, make, expected) => {
    expect(codes(decodeSnapshot(make(), kinds))).toEqual(expected);
  });

  test('refuses a higher format by number, and a count that does not fit', () => {
    const good = base().build();
    const manifest = Manifest.decode(good.manifest);
    const rewrite = (change: Partial<Manifest>): Candidate => {
      const bytes = Manifest.encode({ ...manifest, ...change }).finish();
      return { ...good, manifest: bytes, hash: contentHash(bytes) };
    };
    expect(codes(decodeSnapshot(rewrite({ format: 9 }), kinds))).toEqual(['manifest: newer-format']);
    expect(codes(decodeSnapshot(rewrite({ entryCount: 3 }), kinds))).toEqual(['manifest: count-mismatch']);
    expect(codes(decodeSnapshot(rewrite({ entryCount: 600_000 }), kinds))).toEqual(['manifest: too-many']);
  });

  test('takes exactly what the manifest reaches, with the bytes their hashes say', () => {
    const good = base().build();
    const [first = '', ...rest] = good.resources.keys();
    const without = new Map(good.resources);
    without.delete(first);
    expect(codes(decodeSnapshot({ ...good, resources: without }, kinds))).toEqual(['mesh: missing-resource']);
    const more = new Map(good.resources).set(contentHash('more'), Buffer.from('more'));
    expect(codes(decodeSnapshot({ ...good, resources: more }, kinds))).toEqual([`resource ${contentHash('more').slice(0, 12)}: unreachable-resource`]);
    const changed = new Map(good.resources).set(rest[0] ?? '', Buffer.from('changed'));
    expect(codes(decodeSnapshot({ ...good, resources: changed }, kinds))).toEqual([`resource ${rest[0]?.slice(0, 12)}: hash-mismatch`]);
    const huge = Buffer.alloc(262_145);
    expect(codes(decodeSnapshot({ ...good, resources: new Map([[contentHash(huge), huge]]) }, kinds))).toEqual([`resource ${contentHash(huge).slice(0, 12)}: too-large`]);
  });

  test('refuses settings that the manifest does not list', () => {
    const missing = Buffer.from(contentHash('nowhere'), 'hex');
    expect(codes(decodeSnapshot(new CandidateBuilder(edge).route({ name: 'api', settings: missing }).build(), kinds))).toEqual(['gateway/edge/api: missing-resource']);
  });

  test('treats names such as __proto__ as names', () => {
    const result = decodeSnapshot(new CandidateBuilder(edge).listener({ name: '__proto__' }).route({ name: 'constructor' }).build(), kinds);
    expect(result.ok && [result.snapshot.listeners.has('__proto__'), result.snapshot.routes[0]?.name]).toEqual([true, 'constructor']);
  });

  test('survives any change of any byte', () => {
    const good = serviceCandidate();
    for (const [hash, bytes] of good.resources) {
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 0x55;
        const resources = new Map(good.resources).set(hash, changed);
        expect(decodeSnapshot({ ...good, resources }, kinds).ok).toBe(false);
        expect(typeof decodeSnapshot({ ...good, resources }, kinds, { hashesVerified: true }).ok).toBe('boolean');
      }
    }
  });
});

describe('decoding again', () => {
  test('shares what did not change, by hash', () => {
    const cache = new DecodeCache();
    const builder = (): CandidateBuilder => new CandidateBuilder(edge).fleet().listener({ name: 'plain' }).route({ name: 'a' });
    const first = decodeSnapshot(builder().build(), kinds, { cache });
    cache.age();
    const second = decodeSnapshot(builder().route({ name: 'b' }).build(), kinds, { cache });
    if (!first.ok || !second.ok) throw new Error('not decoded');
    expect(second.snapshot.routes[0]).toBe(first.snapshot.routes[0]);
    expect(second.snapshot.listeners.get('plain')).toBe(first.snapshot.listeners.get('plain'));
  });

  test('forgets what two generations did not use, and keeps to its bound', () => {
    const cache = new DecodeCache({ entriesMax: 10 });
    decodeSnapshot(new CandidateBuilder(edge).listener({ name: 'plain' }).build(), kinds, { cache });
    expect(cache.size).toBe(1);
    cache.age();
    cache.age();
    expect(cache.size).toBe(0);
    const many = new CandidateBuilder(edge);
    for (let i = 0; i < 100; i++) many.route({ name: `r${i}` });
    decodeSnapshot(many.build(), kinds, { cache });
    expect(cache.size).toBeLessThanOrEqual(20);
  });

  test('keeps nothing of what was refused', () => {
    const cache = new DecodeCache();
    expect(decodeSnapshot(new CandidateBuilder(edge).listener({ name: 'plain' }).route({ name: 'a', priority: 5_000_000 }).build(), kinds, { cache }).ok).toBe(false);
    expect(cache.size).toBe(0);
  });
});

describe('decoding in slices', () => {
  const many = (() => {
    const builder = new CandidateBuilder(edge).fleet();
    const settings = builder.settings(section('timeout', 't'));
    for (let i = 0; i < 5_000; i++) builder.route({ name: `route-${i}`, settings, match: { path: { kind: { $case: 'prefix', value: `/p${i}` } } } });
    return builder.build();
  })();

  test('pauses often and gives the same', async () => {
    let pauses = 0;
    let longest = 0;
    let began = performance.now();
    const pause = (): Promise<void> => {
      pauses++;
      longest = Math.max(longest, performance.now() - began);
      return new Promise((resolve) => setImmediate(() => {
        began = performance.now();
        resolve();
      }));
    };
    const result = await decodeInSlices(many, kinds, { sliceMs: 1, clock: systemClock, pause });
    expect(result.ok && result.snapshot.routes.length).toBe(5_000);
    expect(pauses).toBeGreaterThan(3);
  });

  test('has steps that are small', () => {
    const steps = decodeSteps(many, kinds);
    let count = 0;
    while (!steps.next().done) count++;
    expect(count).toBeGreaterThan(10_000);
  });
});
