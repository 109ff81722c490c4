import { NackClass } from '@remora/proto/gen/remora/push/v1/push';
import { describe, expect, test } from 'vitest';
import { HubFixture } from './testdata/hub-fixture.ts';
import { compileSample } from './testdata/sample-content.ts';
import { TestSidecar } from './testdata/test-sidecar.ts';

const web = { kind: 'service', name: 'web' } as const;
const orders = { kind: 'service', name: 'orders' } as const;
const hashOf = (...resources: string[]) => compileSample(web, { resources }).hash;

/** More than travels in one message. */
const large = Array.from({ length: 2_000 }, (_, i) => `large-${i}`);

/** A hub at entry 41 with content `a`, and one sidecar that enforces it. */
function started(options: ConstructorParameters<typeof HubFixture>[0] = {}) {
  const fixture = new HubFixture(options);
  fixture.publish({ 'service/web': { resources: ['a'] } });
  const sidecar = fixture.connect({ nodeId: 'web-1', subject: web });
  return { fixture, sidecar, hub: fixture.hub };
}

describe('a push', () => {
  test('brings a new sidecar to the newest content, and says so', async () => {
    const { fixture, sidecar, hub } = started();
    expect(sidecar.enforced()).toEqual(['a']);
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', connected: true, config: { applied: { index: 41 }, inSync: true, lagMs: 0 } });
    const index = fixture.publish({ 'service/web': { resources: ['a', 'c'] } });
    expect(sidecar.enforced()).toEqual(['a', 'c']);
    expect(sidecar.violations).toEqual([]);
    await expect(hub.waitApplied(index, 1_000)).resolves.toMatchObject({ done: true, sidecars: [{ nodeId: 'web-1', outcome: 'applied' }] });
  });

  test('sends only what the sidecar lacks', () => {
    const { fixture, sidecar } = started();
    fixture.publish({ 'service/web': { resources: ['a', 'b'] } });
    expect(sidecar.begins.map(({ base, resourceCount }) => [base.length > 0, resourceCount])).toEqual([[false, 2], [true, 2]]);
    expect(sidecar.enforced()).toEqual(['a', 'b']);
  });

  test('touches nobody else, and nobody where nothing changed', () => {
    const fixture = new HubFixture();
    fixture.publish({ 'service/web': { resources: ['a'] }, 'service/orders': { resources: ['x'] } });
    const one = fixture.connect({ nodeId: 'web-1', subject: web });
    const other = fixture.connect({ nodeId: 'orders-1', subject: orders });
    const before = other.log.length;
    const sent = fixture.hub.metrics.bytesSentTotal;
    fixture.publish({ 'service/web': { resources: ['a'] }, 'service/orders': { resources: ['x'] } });
    expect(fixture.hub.metrics.bytesSentTotal).toBe(sent);
    fixture.publish({ 'service/web': { resources: ['b'] }, 'service/orders': { resources: ['x'] } });
    expect(one.enforced()).toEqual(['b']);
    expect(other.log).toHaveLength(before);
  });

  test('skips what was replaced while an answer was missing: the newest wins', () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => 'silent';
    fixture.publish({ 'service/web': { resources: ['b'] } });
    for (const name of ['c', 'd', 'e']) fixture.publish({ 'service/web': { resources: [name] } });
    expect(sidecar.begins).toHaveLength(2);
    sidecar.answer = () => 'ack';
    const [, b] = sidecar.begins;
    sidecar.config = { version: b?.version ?? { epoch: 0n, index: 0n }, hash: hashOf('b') };
    sidecar.send({ $case: 'ack', value: { lane: 1, version: b?.version, hash: Buffer.from(hashOf('b'), 'hex'), persisted: true, warming: [] } });
    fixture.time.settle();
    expect(sidecar.begins).toHaveLength(3);
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', config: { applied: { index: 45 } } });
    expect(hub.enforcement(43)?.sidecars[0]?.outcome).toBe('applied');
  });

  test('gives up an update that is half sent for a newer one', () => {
    const { fixture, sidecar, hub } = started({ limits: { highWaterBytes: 2_000 } });
    fixture.link(sidecar).pause();
    fixture.publish({ 'service/web': { resources: large } });
    fixture.publish({ 'service/web': { resources: ['small'] } });
    fixture.link(sidecar).resume();
    fixture.time.settle();
    expect(sidecar.log.filter((word) => word !== 'state-full')).toEqual(['begin', 'commit', 'begin', 'begin', 'commit']);
    expect(sidecar.enforced()).toEqual(['small']);
    expect(hub.metrics.abortsTotal).toBe(1);
    expect(sidecar.violations).toEqual([]);
  });

  test('of a huge update keeps the queue of a stuck stream below its mark, and cuts the stream after a minute', () => {
    const { fixture, sidecar, hub } = started({ limits: { silenceMs: 600_000 } });
    const link = fixture.link(sidecar);
    link.pause();
    for (let round = 0; round < 20; round++) fixture.publish({ 'service/web': { resources: Array.from({ length: 3_000 }, (_, i) => `${round}-${i}`) } });
    const stream = link as unknown as { bufferedBytes: number };
    expect(stream.bufferedBytes).toBeLessThan(64 * 1024 + 10_000);
    fixture.time.advance(59_000);
    expect(hub.sidecar('web-1')?.connected).toBe(true);
    fixture.time.advance(3_000);
    expect(hub.sidecar('web-1')).toMatchObject({ connected: false, phase: 'offline', config: { inSync: false } });
  });

  test('comes in one message where it is small, in parts where it is not', () => {
    const { fixture, sidecar, hub } = started();
    const before = hub.metrics.messagesSentTotal;
    fixture.publish({ 'service/web': { resources: ['b'] } });
    expect(hub.metrics.messagesSentTotal - before).toBe(1);
    fixture.publish({ 'service/web': { resources: large } });
    expect(hub.metrics.messagesSentTotal - before).toBe(1 + 1 + 2_001 + 1);
    expect(sidecar.enforced()).toHaveLength(2_000);
    expect(sidecar.violations).toEqual([]);
  });

  test('answers NeedHashes with what is missing and the Commit again', () => {
    const { fixture, sidecar } = started();
    sidecar.resources.delete([...sidecar.resources.keys()][1] ?? '');
    fixture.publish({ 'service/web': { resources: ['a', 'b'] } });
    expect(sidecar.log.slice(-3)).toEqual(['commit', 'need 1', 'commit']);
    expect(sidecar.enforced()).toEqual(['a', 'b']);
    expect(sidecar.violations).toEqual([]);
  });

  test('starts over in full where NeedHashes asks for something that is not there', () => {
    const { fixture, sidecar } = started();
    sidecar.answer = () => 'silent';
    fixture.publish({ 'service/web': { resources: ['b'] } });
    sidecar.answer = () => 'ack';
    sidecar.send({ $case: 'needHashes', value: { version: sidecar.begins[1]?.version, hashes: [Buffer.alloc(32, 7)] } });
    fixture.time.settle();
    expect(sidecar.begins.at(-1)?.base).toHaveLength(0);
    expect(sidecar.enforced()).toEqual(['b']);
  });

  test('serves thousands in turns', () => {
    const fixture = new HubFixture();
    fixture.publish({ 'service/web': { resources: ['a'] } });
    const sidecars = Array.from({ length: 500 }, (_, i) => fixture.connect({ nodeId: `web-${i}`, subject: web }));
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    expect(sidecars.every((sidecar) => sidecar.enforced()[0] === 'b')).toBe(true);
    expect(fixture.hub.enforcement(index)).toMatchObject({ done: true });
    expect(fixture.hub.metrics.propagationMs.counts.reduce((a, b) => a + b)).toBe(500);
  });
});

describe('a refusal', () => {
  const errors = [{ resource: 'inbound/http', kind: 'fault', pointer: '/fault', code: 'unknown-kind', message: 'this build has no fault', policies: ['chaos'] }];

  test.each([
    { name: 'invalid', nack: NackClass.NACK_CLASS_INVALID, phase: 'refused', outcome: 'refused', begins: 1 },
    { name: 'guard', nack: NackClass.NACK_CLASS_GUARD, phase: 'refused', outcome: 'refused', begins: 1 },
    { name: 'transient', nack: NackClass.NACK_CLASS_TRANSIENT, phase: 'pending', outcome: 'pending', begins: 1 },
    { name: 'unknown', nack: NackClass.UNRECOGNIZED, phase: 'pending', outcome: 'pending', begins: 1 },
    { name: 'resync', nack: NackClass.NACK_CLASS_RESYNC, phase: 'pending', outcome: 'pending', begins: 3 },
  ])('of class $name: $phase, $begins attempts at once', ({ nack, phase, outcome, begins }) => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => ({ nack, errors });
    const index = fixture.publish({ 'service/web': { resources: ['bad'] } });
    expect(sidecar.begins.length - 1).toBe(begins);
    expect(hub.sidecar('web-1')).toMatchObject({ phase, lastRefusal: { errors, version: { index } }, config: { applied: { index: 41 } } });
    expect(hub.enforcement(index)?.sidecars[0]?.outcome).toBe(outcome);
    expect(fixture.events.filter(({ type }) => type === 'sidecar-refused')).toHaveLength(begins);
  });

  test('as invalid is never pushed to that build again, on this stream or another, nor after a restart', () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = (_, hash) => (hash === hashOf('bad') ? { nack: NackClass.NACK_CLASS_INVALID, errors } : 'ack');
    fixture.publish({ 'service/web': { resources: ['bad'] } });
    fixture.publish({ 'service/web': { resources: ['a'] } });
    expect(sidecar.log.at(-1)).toBe('unchanged-config');
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', lastRefusal: null });
    const again = fixture.publish({ 'service/web': { resources: ['bad'] } });
    expect(sidecar.begins).toHaveLength(2);
    expect(hub.enforcement(again)?.sidecars[0]).toMatchObject({ outcome: 'refused', refusal: { errors } });
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'refused', lastRefusal: { errors } });
    fixture.restart();
    fixture.publish({ 'service/web': { resources: ['bad'] } });
    fixture.connect(sidecar);
    expect(sidecar.begins).toHaveLength(2);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ phase: 'refused', lastRefusal: { errors } });
    const other = fixture.connect({ nodeId: 'web-2', subject: web, build: 'build-2' });
    expect(other.enforced()).toEqual(['bad']);
  });

  test('that only the sidecar remembers counts too', () => {
    const fixture = new HubFixture();
    fixture.publish({ 'service/web': { resources: ['bad'] } });
    const sidecar = fixture.connect({ nodeId: 'web-1', subject: web, hello: { refusedHashes: [Buffer.from(hashOf('bad'), 'hex')] } });
    expect(sidecar.begins).toHaveLength(0);
    expect(fixture.hub.sidecar('web-1')?.phase).toBe('refused');
  });

  test('gives a new instance of that build the newest that the build has confirmed', () => {
    const { fixture, sidecar } = started();
    fixture.publish({ 'service/web': { resources: ['good'] } });
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_INVALID, errors });
    fixture.publish({ 'service/web': { resources: ['bad'] } });
    fixture.restart();
    fixture.publish({ 'service/web': { resources: ['bad'] } });
    const fresh = fixture.connect({ nodeId: 'web-2', subject: web });
    expect(fresh.log).toContain('begin-fallback');
    expect(fresh.enforced()).toEqual(['good']);
    expect(fixture.hub.sidecar('web-2')).toMatchObject({ phase: 'refused', config: { applied: { index: 42 }, desired: { index: 44 } } });
    fixture.publish({ 'service/web': { resources: ['better'] } });
    expect(fresh.enforced()).toEqual(['better']);
    expect(fresh.violations).toEqual([]);
  });

  test('of a new instance itself makes it fall back at once', () => {
    const { fixture } = started();
    fixture.publish({ 'service/web': { resources: ['bad'] } });
    const fresh = new TestSidecar({ nodeId: 'web-2', subject: web });
    fresh.answer = (_, hash) => (hash === hashOf('bad') ? { nack: NackClass.NACK_CLASS_INVALID } : 'ack');
    fixture.connect(fresh);
    expect(fresh.log.filter((word) => word.startsWith('begin'))).toEqual(['begin', 'begin-fallback']);
    expect(fresh.enforced()).toEqual(['a']);
  });

  test('by a guard waits for a grant, valid even where the content is equal', async () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => (sidecar.begins.at(-1)?.grantedGuards.includes('routes-lost') ? 'ack' : { nack: NackClass.NACK_CLASS_GUARD, errors: [{ code: 'routes-lost' }] });
    fixture.publish({ 'service/web': { resources: ['less'] } });
    fixture.live(60_000, sidecar);
    expect(sidecar.begins).toHaveLength(2);
    const granted = fixture.publish({ 'service/web': { resources: ['less'] } }, [{ guard: 'routes-lost', subjects: ['service/web'] }]);
    expect(sidecar.enforced()).toEqual(['less']);
    await expect(hub.waitApplied(granted, 100)).resolves.toMatchObject({ done: true, sidecars: [{ outcome: 'applied' }] });
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', lastRefusal: null, config: { applied: { index: granted } } });
  });

  test('by a guard although it was granted is tried again later, not in a loop', () => {
    const { fixture, sidecar } = started();
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_GUARD, errors: [{ code: 'routes-lost' }] });
    fixture.publish({ 'service/web': { resources: ['less'] } }, [{ guard: 'routes-lost', subjects: [] }]);
    expect(sidecar.begins).toHaveLength(2);
    fixture.live(2_000, sidecar);
    expect(sidecar.begins).toHaveLength(3);
  });

  test('as transient is tried again after 1 s, 2 s, 4 s … up to 30 s, with jitter', () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_TRANSIENT });
    fixture.publish({ 'service/web': { resources: ['b'] } });
    const attempts: number[] = [];
    for (let second = 1; second <= 120; second++) {
      const before = sidecar.begins.length;
      fixture.live(1_000, sidecar);
      if (sidecar.begins.length > before) attempts.push(second);
    }
    expect(attempts.length).toBeGreaterThanOrEqual(6);
    expect(attempts.length).toBeLessThanOrEqual(10);
    sidecar.answer = () => 'ack';
    fixture.live(40_000, sidecar);
    expect(hub.sidecar('web-1')?.phase).toBe('in-sync');
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_TRANSIENT });
    fixture.publish({ 'service/web': { resources: ['c'] } });
    const before = sidecar.begins.length;
    fixture.live(2_000, sidecar);
    expect(sidecar.begins.length).toBe(before + 1);
  });

  test('as resync is answered in full; the third in a row waits', () => {
    const { fixture, sidecar } = started();
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_RESYNC });
    fixture.publish({ 'service/web': { resources: ['b'] } });
    expect(sidecar.begins.map(({ base }) => base.length)).toEqual([0, 32, 0, 0]);
    sidecar.answer = () => 'ack';
    fixture.live(2_000, sidecar);
    expect(sidecar.enforced()).toEqual(['b']);
  });

  test.each([
    ['resync: it gets everything again', NackClass.NACK_CLASS_RESYNC, 1], ['invalid: later', NackClass.NACK_CLASS_INVALID, 0], ['transient: later', NackClass.NACK_CLASS_TRANSIENT, 0],
  ])('of an Unchanged as %s', (_, nack, begins) => {
    const { fixture, sidecar, hub } = started();
    fixture.disconnect(sidecar);
    const before = sidecar.begins.length;
    sidecar.answer = (lane) => (lane === 'config' && sidecar.begins.length === before ? { nack } : 'ack');
    fixture.connect(sidecar);
    expect(sidecar.begins.length - before).toBe(begins);
    sidecar.answer = () => 'ack';
    fixture.live(3_000, sidecar);
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', lastRefusal: null });
    expect(sidecar.enforced()).toEqual(['a']);
  });

  test('ends the wait for the entry at once', async () => {
    const { fixture, sidecar, hub } = started();
    fixture.connect({ nodeId: 'web-2', subject: web }).answer = () => 'silent';
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_INVALID, errors });
    const index = fixture.publish({ 'service/web': { resources: ['bad'] } });
    const enforcement = await hub.waitApplied(index, 1_000);
    expect(enforcement.done).toBe(false);
    expect(enforcement.sidecars.map(({ outcome }) => outcome).sort()).toEqual(['pending', 'refused']);
  });

  test('is cut to its bounds', () => {
    const { fixture, sidecar, hub } = started();
    const endless = { resource: 'x'.repeat(5_000), policies: Array.from({ length: 100 }, () => 'p') };
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_INVALID, errors: Array.from({ length: 100 }, () => endless) });
    fixture.publish({ 'service/web': { resources: ['bad'] } });
    const refusal = hub.sidecar('web-1')?.lastRefusal;
    expect(refusal?.errors).toHaveLength(32);
    expect(refusal?.errors[0]?.resource).toHaveLength(1_024);
    expect(refusal?.errors[0]?.policies).toHaveLength(16);
  });
});

describe('enforcement of an entry', () => {
  test('is the set at commit: those that connect later are not in it', async () => {
    const { fixture, hub } = started();
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.connect({ nodeId: 'web-2', subject: web });
    expect((await hub.waitApplied(index, 100)).sidecars.map(({ nodeId }) => nodeId)).toEqual(['web-1']);
  });

  test('says so where no sidecar is concerned', async () => {
    const { fixture, hub } = started();
    const index = fixture.publish({ 'service/web': { resources: ['a'] } });
    await expect(hub.waitApplied(index, 100)).resolves.toMatchObject({ done: true, sidecars: [], elapsedMs: 0 });
  });

  test('lists those that go away as offline, and as applied when they come back and apply it', async () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => 'silent';
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    const waiting = hub.waitApplied(index, 60_000);
    fixture.disconnect(sidecar);
    await expect(waiting).resolves.toMatchObject({ done: true, sidecars: [{ outcome: 'offline' }] });
    sidecar.answer = () => 'ack';
    fixture.connect(sidecar);
    expect(hub.enforcement(index)?.sidecars[0]?.outcome).toBe('applied');
  });

  test('ends with what is known at the timeout', async () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => 'silent';
    const index = fixture.publish({ 'service/web': { resources: ['b'] } });
    const waiting = hub.waitApplied(index, 5_000);
    fixture.time.advance(5_000);
    await expect(waiting).resolves.toMatchObject({ done: false, sidecars: [{ outcome: 'pending' }] });
  });

  test('calls superseded what went back before anybody enforced it', () => {
    const { fixture, sidecar, hub } = started({ limits: { highWaterBytes: 1 } });
    fixture.link(sidecar).pause();
    const lost = fixture.publish({ 'service/web': { resources: large } });
    const back = fixture.publish({ 'service/web': { resources: ['a'] } });
    fixture.link(sidecar).resume();
    fixture.time.settle();
    expect(hub.enforcement(lost)?.sidecars[0]?.outcome).toBe('superseded');
    expect(hub.enforcement(back)?.sidecars[0]?.outcome).toBe('applied');
    expect(sidecar.enforced()).toEqual(['a']);
  });

  test('is kept for a bounded number of entries', () => {
    const { fixture, hub } = started({ limits: { enforcementsMax: 3 } });
    const first = fixture.publish({ 'service/web': { resources: ['b'] } });
    for (const name of ['c', 'd', 'e']) fixture.publish({ 'service/web': { resources: [name] } });
    expect(hub.enforcement(first)).toBeNull();
    expect(hub.enforcement(first + 3)?.done).toBe(true);
  });

  test('of an entry that is not published yet waits for it', async () => {
    const { fixture, hub } = started();
    const waiting = hub.waitApplied(42, 5_000);
    fixture.publish({ 'service/web': { resources: ['b'] } });
    await expect(waiting).resolves.toMatchObject({ done: true, sidecars: [{ outcome: 'applied' }] });
  });
});
