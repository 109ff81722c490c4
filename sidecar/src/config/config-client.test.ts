import { settle } from '@remora/testing/manual-timers';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { Lane, NackClass } from '@remora/proto/gen/remora/push/v1/push';
import { describe, expect, test } from 'vitest';
import { ClientFixture, snapshot } from './testdata/client-fixture.ts';
import { MemoryDisk } from './testdata/memory-disk.ts';
import { lanes, nackClasses, toWireHash } from './wire-codes.ts';

test('the numbers of the protocol are the generated ones', () => {
  expect(lanes).toEqual({ config: Lane.LANE_CONFIG, state: Lane.LANE_STATE });
  expect(nackClasses).toEqual({
    invalid: NackClass.NACK_CLASS_INVALID, guard: NackClass.NACK_CLASS_GUARD, resync: NackClass.NACK_CLASS_RESYNC, transient: NackClass.NACK_CLASS_TRANSIENT,
  });
});

describe('an update', () => {
  test('is decoded, prepared, written, enforced, marked as good, acknowledged, in this order', async () => {
    const fixture = await new ClientFixture().start();
    const first = snapshot(1);
    await fixture.push(first);
    expect(fixture.answers).toEqual(['ack config 1.1']);
    expect(fixture.dataPlane.calls).toEqual([`prepare ${first.hash.slice(0, 8)}`, 'swap 1.1']);
    expect(fixture.disk.writes.slice(0, 2)).toEqual(['candidate 1', 'good']);
    expect(fixture.client.status).toMatchObject({ persisted: true, lastRefusal: null, applied: { version: { index: 1 }, origin: 'control-plane' } });
  });

  test('carries only what changed: the rest is taken from what is enforced', async () => {
    const fixture = await new ClientFixture().start();
    const first = snapshot(1);
    await fixture.push(first);
    const second = snapshot(2);
    await fixture.push(second, { base: first.hash, omit: new Set(first.resources.keys()) });
    expect(fixture.answers.at(-1)).toBe('ack config 1.2');
    expect(new Set(fixture.dataPlane.current?.candidate.resources.keys())).toEqual(new Set(second.resources.keys()));
  });

  test('asks for what is missing, pages first, and continues with the next Commit', async () => {
    const fixture = await new ClientFixture().start();
    const candidate = snapshot(1, { routes: 8 });
    const { last } = fixture.controlPlane;
    last.begin(candidate);
    last.commit(candidate);
    await settle();
    for (let round = 0; round < 2; round++) {
      const asked = last.received.flatMap(({ body }) => (body?.$case === 'needHashes' ? [body.value.hashes] : []))[round] ?? [];
      expect(asked.length).toBeGreaterThan(0);
      for (const hash of asked) last.resource(hash.toString('hex'), candidate.resources.get(hash.toString('hex')) ?? Buffer.alloc(0));
      last.commit(candidate);
      await settle();
    }
    expect(last.answers.at(-1)).toBe('ack config 1.1');
  });

  test('that stays incomplete is refused for a full one', async () => {
    const fixture = await new ClientFixture().start();
    const candidate = snapshot(1);
    const { last } = fixture.controlPlane;
    last.begin(candidate);
    for (let i = 0; i < 4; i++) {
      last.commit(candidate);
      await settle();
    }
    expect(last.answers.at(-1)).toBe('nack config 1.1 resync missing-resource');
  });

  test('is given up for a newer Begin, without an answer', async () => {
    const fixture = await new ClientFixture().start();
    const half = snapshot(1);
    fixture.controlPlane.last.begin(half);
    await fixture.push(snapshot(2));
    expect(fixture.answers).toEqual(['ack config 1.2']);
    fixture.controlPlane.last.commit(half);
    await settle();
    expect(fixture.answers).toHaveLength(1);
  });

  const damaged: readonly [string, (fixture: ClientFixture) => void, string][] = [
    ['another base', ({ controlPlane }) => controlPlane.last.push(snapshot(2), { base: 'aa'.repeat(32) }), 'nack config 1.2 resync unknown-base'],
    ['bytes that are not their hash', ({ controlPlane }) => {
      const candidate = snapshot(2);
      controlPlane.last.begin(candidate);
      for (const hash of candidate.resources.keys()) controlPlane.last.resource(hash, Buffer.from('x'));
      controlPlane.last.commit(candidate);
    }, 'nack config 1.2 resync hash-mismatch'],
    ['a manifest that is not its hash', ({ controlPlane }) => controlPlane.last.push({ ...snapshot(2), hash: 'bb'.repeat(32) }), 'nack config 1.2 resync hash-mismatch'],
    ['a resource beyond the limit', ({ controlPlane }) => {
      const candidate = snapshot(2);
      controlPlane.last.begin(candidate);
      controlPlane.last.resource('cc'.repeat(32), Buffer.alloc(300_000));
      controlPlane.last.commit(candidate);
    }, 'nack config 1.2 resync too-large'],
    ['a version below what is enforced', ({ controlPlane }) => controlPlane.last.push(snapshot(1, { epoch: 0, text: 'old' })), 'nack config 0.1 transient version-went-back'],
    ['a kind this build does not know', ({ controlPlane }) => controlPlane.last.push(snapshot(2, { kind: 'jwt' })), 'nack config 1.2 invalid unknown-kind'],
    ['settings that are refused', ({ controlPlane }) => controlPlane.last.push(snapshot(2, { text: 'bad' })), 'nack config 1.2 invalid invalid-value'],
    ['no routes any more', ({ controlPlane }) => controlPlane.last.push(snapshot(2, { routes: 0 })), 'nack config 1.2 guard empties-routes'],
  ];
  test.each(damaged)('with %s leaves what serves untouched', async (_name, act, answer) => {
    const fixture = await new ClientFixture().start();
    await fixture.push(snapshot(1));
    act(fixture);
    await settle();
    expect(fixture.answers).toEqual(['ack config 1.1', answer]);
    expect(fixture.enforced).toHaveLength(1);
    expect(fixture.disk.generations).toHaveLength(1);
    expect(fixture.client.status.lastRefusal?.errors.length).toBeGreaterThan(0);
  });

  test('with a danger that was granted is enforced', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.push(snapshot(1));
    await fixture.push(snapshot(2, { routes: 0 }), { granted: ['empties-routes'] });
    expect(fixture.answers.at(-1)).toBe('ack config 1.2');
  });

  test('that the workers refuse is invalid, with their words; one that they cannot build now is transient', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.push(snapshot(1));
    fixture.dataPlane.onPrepare = () => Promise.resolve({ ok: false, errors: [{ resource: 'gateway/edge/r0', kind: '', pointer: '/match/path/regex', code: 'too-complex', message: 'no', policies: [] }] });
    await fixture.push(snapshot(2));
    expect(fixture.answers.at(-1)).toBe('nack config 1.2 invalid too-complex');
    fixture.dataPlane.onPrepare = () => Promise.reject(new Error('a worker died'));
    await fixture.push(snapshot(3));
    expect(fixture.answers.at(-1)).toBe('nack config 1.3 transient prepare-failed');
    fixture.dataPlane.onPrepare = () => Promise.resolve({ ok: true, buildMs: 0 });
    fixture.dataPlane.onSwap = () => Promise.reject(new Error('a worker died'));
    await fixture.push(snapshot(4));
    expect(fixture.answers.at(-1)).toBe('nack config 1.4 transient swap-failed');
    expect(fixture.enforced).toHaveLength(1);
    expect(fixture.dataPlane.calls.filter((call) => call.startsWith('discard'))).toHaveLength(3);
  });
});

describe('what was refused', () => {
  test('is remembered: the same content is refused without work, also after a restart', async () => {
    const disk = new MemoryDisk();
    const fixture = await new ClientFixture({ disk }).start();
    const bad = snapshot(2, { text: 'bad' });
    await fixture.push(snapshot(1));
    await fixture.push(bad);
    await fixture.push({ ...bad, version: { epoch: 1, index: 3 } });
    expect(fixture.answers.slice(-2)).toEqual(['nack config 1.2 invalid invalid-value', 'nack config 1.3 invalid invalid-value']);
    await fixture.timers.advance(2_000);
    const again = await new ClientFixture({ disk }).start();
    expect(again.controlPlane.last.hello.refusedHashes).toEqual([toWireHash(bad.hash)]);
    await again.push({ ...bad, version: { epoch: 1, index: 4 } });
    expect(again.answers).toEqual(['nack config 1.4 invalid refused-before']);
    const newer = await new ClientFixture({ disk, kinds: new Map() }).start();
    expect(newer.controlPlane.last.hello.refusedHashes).toEqual([]);
  });

  test('A, bad, A again: the same content is enforced under its new version, the refusal is cleared', async () => {
    const fixture = await new ClientFixture().start();
    const good = snapshot(1);
    await fixture.push(good);
    await fixture.push(snapshot(2, { text: 'bad' }));
    expect(fixture.client.status.lastRefusal).not.toBeNull();
    fixture.controlPlane.last.unchanged({ ...good, version: { epoch: 1, index: 3 } });
    await settle();
    expect(fixture.answers.at(-1)).toBe('ack config 1.3');
    expect(fixture.client.status).toMatchObject({ lastRefusal: null, applied: { version: { index: 3 } } });
    expect(fixture.dataPlane.calls.at(-1)).toBe('relabel 1.3');
    expect(fixture.enforced).toHaveLength(1);
  });

  test('Unchanged about something else asks for it in full', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.push(snapshot(1));
    fixture.controlPlane.last.unchanged(snapshot(2));
    expect(fixture.answers.at(-1)).toBe('nack config 1.2 resync not-applied');
  });
});

describe('while one update is applied', () => {
  test('of those that come whole only the newest follows, and every answer is of the stream that asked', async () => {
    const fixture = await new ClientFixture().start();
    const slow = Promise.withResolvers<void>();
    fixture.dataPlane.onSwap = () => slow.promise;
    await fixture.push(snapshot(1));
    await fixture.push(snapshot(2));
    await fixture.push(snapshot(3));
    fixture.dataPlane.onSwap = () => Promise.resolve();
    slow.resolve();
    await settle();
    expect(fixture.answers).toEqual(['ack config 1.1', 'ack config 1.3']);
    const late = Promise.withResolvers<void>();
    fixture.dataPlane.onSwap = () => late.promise;
    await fixture.push(snapshot(4));
    fixture.controlPlane.last.end();
    await fixture.timers.advance(20_000);
    late.resolve();
    await settle();
    expect(fixture.controlPlane.last.answers).toEqual([]);
    expect(fixture.dataPlane.current?.version.index).toBe(4);
  });
});

describe('a disk', () => {
  test('that fails does not stop a swap: said, and tried again until it works', async () => {
    const fixture = await new ClientFixture().start();
    fixture.disk.mode = 'failing';
    await fixture.push(snapshot(1));
    expect(fixture.answers).toEqual(['ack config 1.1 not persisted']);
    expect(fixture.client.status).toMatchObject({ persisted: false, diskAlarm: 'no space left on device' });
    await fixture.timers.advance(12_000);
    expect(fixture.client.status.persisted).toBe(false);
    fixture.disk.mode = 'ok';
    await fixture.timers.advance(6_000);
    expect(fixture.client.status).toMatchObject({ persisted: true, diskAlarm: null });
    expect(fixture.disk.generations[0]?.version.index).toBe(1);
  });

  test('that hangs delays a swap by its patience only, and nothing piles up', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.timers.advance(2_000);
    fixture.disk.mode = 'hanging';
    for (let i = 1; i <= 5; i++) {
      await fixture.push(snapshot(i));
      await fixture.timers.advance(2_500);
      fixture.controlPlane.last.heartbeat();
    }
    expect(fixture.enforced).toHaveLength(5);
    expect(fixture.answers).toEqual([1, 2, 3, 4, 5].map((i) => `ack config 1.${i} not persisted`));
    expect(fixture.disk.waiting).toBeLessThanOrEqual(3);
    fixture.disk.mode = 'ok';
    await fixture.timers.advance(10_000);
    expect(fixture.client.status.persisted).toBe(true);
    expect(fixture.disk.generations[0]?.version.index).toBe(5);
  });
});

describe('a slow disk', () => {
  test('delays a swap by 20 ms at most; the acknowledgement waits until it is durable', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.timers.advance(2_000);
    fixture.disk.mode = 'hanging';
    await fixture.push(snapshot(1));
    expect(fixture.enforced).toHaveLength(0);
    await fixture.timers.advance(20);
    expect(fixture.enforced).toHaveLength(1);
    expect(fixture.answers).toEqual([]);
    fixture.disk.mode = 'ok';
    await settle();
    expect(fixture.answers).toEqual(['ack config 1.1']);
  });

  test('keeps what is enforced even where the writing of what was refused came between', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.timers.advance(2_000);
    fixture.disk.mode = 'hanging';
    await fixture.push(snapshot(1));
    await fixture.timers.advance(2_000);
    expect(fixture.answers).toEqual(['ack config 1.1 not persisted']);
    fixture.dataPlane.onPrepare = () => Promise.reject(new Error('no memory'));
    await fixture.push(snapshot(2));
    await fixture.timers.advance(100);
    fixture.disk.mode = 'ok';
    await fixture.timers.advance(8_000);
    expect(fixture.client.status.persisted).toBe(true);
    expect(fixture.disk.generations.map(({ version }) => version.index)).toEqual([1]);
  });
});

describe('a start', () => {
  test('from disk enforces before the control plane answers, says so, and takes Unchanged', async () => {
    const disk = new MemoryDisk();
    const before = await new ClientFixture({ disk }).start();
    const good = snapshot(7);
    await before.push(good);
    before.controlPlane.last.unchanged({ ...good, version: { epoch: 1, index: 9 } });
    await before.timers.advance(3_000);
    await before.client.close();
    const after = new ClientFixture({ disk });
    expect(await after.client.restore()).toEqual({ from: 'current', problems: [] });
    expect(after.dataPlane.current).toMatchObject({ version: { epoch: 1, index: 9 } });
    expect(after.client.status).toMatchObject({ persisted: true, applied: { origin: 'disk' } });
    expect(after.client.status.link.staleSinceMs).toBeGreaterThan(0);
    after.client.connect(after.controlPlane);
    const { hello } = after.controlPlane.last;
    expect(hello).toMatchObject({ nodeId: 'edge-1', subjectKind: 'gateway', config: { hash: toWireHash(good.hash), version: { epoch: 1n, index: 9n }, persisted: true } });
    expect(hello.incarnation).toBeGreaterThan(before.controlPlane.last.hello.incarnation);
    expect(hello.staleSinceMs).toBeGreaterThan(0n);
    after.controlPlane.last.unchanged({ ...good, version: { epoch: 1, index: 9 } });
    expect(after.answers).toEqual(['ack config 1.9']);
    expect(after.client.status.link).toMatchObject({ connected: true, staleSinceMs: 0 });
  });

  test('takes the older generation where the newer cannot be enforced by this build', async () => {
    const disk = new MemoryDisk();
    disk.generations = [snapshot(2, { kind: 'fromTheFuture' }), snapshot(1)];
    const fixture = new ClientFixture({ disk });
    expect(await fixture.client.restore()).toMatchObject({ from: 'previous', problems: [{ file: 'snapshot 1.2', code: 'unknown-kind' }] });
    expect(fixture.dataPlane.current?.version.index).toBe(1);
  });

  test('from nothing waits for the control plane', async () => {
    const fixture = new ClientFixture();
    expect(await fixture.client.restore()).toEqual({ from: 'nothing', problems: [] });
    expect(fixture.client.applied).toBeNull();
    fixture.client.connect(fixture.controlPlane);
    expect(fixture.controlPlane.last.hello.config).toBeUndefined();
    fixture.controlPlane.last.push(snapshot(3, { epoch: 0 }), { base: '' });
    await settle();
    expect(fixture.answers).toEqual(['ack config 0.3']);
  });
});

describe('the state lane', () => {
  const set = (service: string, ...ids: string[]): EndpointSet => EndpointSet.fromPartial({ service, endpoints: ids.map((id) => ({ id, weight: 1, ports: [{ name: 'http', host: '10.0.0.1', port: 80 }] })) });
  const state = (index: number, more: { full?: boolean; sets?: EndpointSet[]; removed?: string[]; hold?: string[] }): Parameters<ScriptedSay>[0] => ({
    $case: 'state',
    value: { version: { epoch: 5n, index: BigInt(index) }, full: more.full ?? false, sets: more.sets ?? [], removed: more.removed ?? [], hash: Buffer.alloc(32, index), hold: more.hold ?? [], items: [], removedItems: [], holdItems: [], fullItems: false },
  });
  type ScriptedSay = ClientFixture['controlPlane']['last']['say'];

  test('applies sets as they come; a missing set holds, a full state drops what it does not name', async () => {
    const fixture = await new ClientFixture().start();
    const { last } = fixture.controlPlane;
    last.say(state(1, { full: true, sets: [set('orders', 'a'), set('payments', 'p')] }));
    last.say(state(2, { sets: [set('orders', 'a', 'b')] }));
    await settle();
    expect([...fixture.client.endpointSets.keys()]).toEqual(['orders', 'payments']);
    last.say(state(3, { full: true, sets: [set('orders')], hold: ['web'] }));
    await settle();
    expect(last.answers.map((each) => each.replace(' not persisted', ''))).toEqual(['ack state 5.1', 'ack state 5.2', 'ack state 5.3']);
    expect([...fixture.client.endpointSets.keys()]).toEqual(['orders']);
    expect(fixture.dataPlane.endpointUpdates.map(({ removed }) => removed)).toEqual([[], [], ['payments']]);
  });

  test('refuses a set that is wrong, and keeps the one it has', async () => {
    const fixture = await new ClientFixture().start();
    const { last } = fixture.controlPlane;
    last.say(state(1, { full: true, sets: [set('orders', 'a')] }));
    last.say(state(2, { sets: [set('orders', 'a', 'a')] }));
    await settle();
    expect(last.answers.at(-1)).toBe('nack state 5.2 invalid duplicate');
    expect(fixture.dataPlane.endpointUpdates).toHaveLength(1);
  });

  test('is written at most once a second, and there after a restart', async () => {
    const disk = new MemoryDisk();
    const fixture = await new ClientFixture({ disk }).start();
    for (let i = 1; i <= 20; i++) fixture.controlPlane.last.say(state(i, { sets: [set('orders', `e${i}`)] }));
    await fixture.timers.advance(1_500);
    for (let i = 1; i <= 10; i++) fixture.controlPlane.last.say(state(i, { sets: [] }));
    await settle();
    expect(disk.writes.filter((write) => write === 'endpoints').length).toBeLessThanOrEqual(2);
    const again = await new ClientFixture({ disk }).start();
    expect(again.controlPlane.last.hello.state).toMatchObject({ version: { epoch: 5n } });
    expect(again.dataPlane.endpointUpdates[0]).toMatchObject({ full: true, removed: [] });
    expect([...again.client.endpointSets.keys()]).toEqual(['orders']);
  });

  test('takes Unchanged, and is not held up by a refused config', async () => {
    const fixture = await new ClientFixture().start();
    const { last } = fixture.controlPlane;
    await fixture.push(snapshot(1, { text: 'bad' }));
    last.say(state(1, { full: true, sets: [set('orders', 'a')] }));
    await settle();
    last.say({ $case: 'unchanged', value: { lane: lanes.state, version: { epoch: 6n, index: 1n }, hash: Buffer.alloc(32, 1) } });
    last.say({ $case: 'unchanged', value: { lane: lanes.state, version: { epoch: 6n, index: 2n }, hash: Buffer.alloc(32, 9) } });
    expect(last.answers.map((each) => each.replace(' not persisted', ''))).toEqual(['nack config 1.1 invalid invalid-value', 'ack state 5.1', 'ack state 6.1', 'nack state 6.2 resync not-applied']);
  });
});
