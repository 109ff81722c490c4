import { Lane, NackClass } from '@remora/proto/gen/remora/push/v1/push';
import { describe, expect, test } from 'vitest';
import type { PushLimits } from './push-limits.ts';
import type { ItemEnforcement } from './push-hub.ts';
import { HubFixture } from './testdata/hub-fixture.ts';
import { MemoryItems } from './testdata/memory-items.ts';
import type { TestSidecar } from './testdata/test-sidecar.ts';

const web = { kind: 'service', name: 'web' } as const;
const orders = { kind: 'service', name: 'orders' } as const;
const mesh = { 'service/web': { resources: ['w'], destinations: ['orders'] }, 'service/orders': { resources: ['o'] } } as const;

/** Two sidecars of web that have a secret, one of orders that needs none. */
function started(limits: Partial<PushLimits> = {}) {
  const secrets = new MemoryItems('secret');
  const others = new MemoryItems('trustBundle');
  const fixture = new HubFixture({ items: [secrets, others], limits });
  fixture.publish(mesh);
  secrets.put('service/web', 'key', '1');
  const one = fixture.connect({ nodeId: 'web-1', subject: web });
  const two = fixture.connect({ nodeId: 'web-2', subject: web });
  const other = fixture.connect({ nodeId: 'orders-1', subject: orders });
  fixture.time.advance(200);
  return { fixture, secrets, others, one, two, other };
}

/** Confirms the last State that it was sent. */
function confirm(sidecar: TestSidecar): void {
  const state = sidecar.states.at(-1);
  if (!state) throw new Error(`${sidecar.nodeId} was sent no State`);
  sidecar.send({ $case: 'ack', value: { lane: Lane.LANE_STATE, version: state.version, hash: state.hash, persisted: true, warming: [] } });
}

/** Ticks of promises, and no time. */
async function isOpen(waiting: Promise<ItemEnforcement>): Promise<boolean> {
  const open = Symbol('open');
  return (await Promise.race([waiting, Promise.resolve().then(() => Promise.resolve()).then(() => open)])) === open;
}

describe('who waits for items', () => {
  test('is answered at once where everybody has them; who needs none is not counted', async () => {
    const { fixture } = started();
    await expect(fixture.hub.waitItems('secret', 1_000)).resolves.toMatchObject({ done: true, counts: { total: 2, applied: 2, pending: 0, refused: 0, offline: 0 }, sidecars: [{ nodeId: 'web-1', outcome: 'applied' }, { nodeId: 'web-2', outcome: 'applied' }], elapsedMs: 0 });
    await expect(fixture.hub.waitItems('consumers', 1_000)).resolves.toMatchObject({ done: true, counts: { total: 0 } });
  });

  test('is answered when the last has confirmed the change', async () => {
    const { fixture, secrets, one, two } = started();
    two.answer = () => 'silent';
    secrets.put('service/web', 'key', '2');
    const waiting = fixture.hub.waitItems('secret', 10_000);
    fixture.time.advance(30);
    expect(one.items.get('secret/key')).toBe('2');
    expect(await isOpen(waiting)).toBe(true);
    confirm(two);
    fixture.time.settle();
    await expect(waiting).resolves.toMatchObject({ done: true, counts: { total: 2, applied: 2 }, elapsedMs: 30 });
  });

  test('is told at the timeout who is pending, and without one at once', async () => {
    const { fixture, secrets, two } = started();
    two.answer = () => 'silent';
    secrets.put('service/web', 'key', '2');
    fixture.time.settle();
    const expected = { done: false, counts: { total: 2, applied: 1, pending: 1 }, sidecars: [{ nodeId: 'web-2', subject: 'service/web', outcome: 'pending', refusal: null }, { nodeId: 'web-1', outcome: 'applied' }] };
    await expect(fixture.hub.waitItems('secret', 0)).resolves.toMatchObject(expected);
    const waiting = fixture.hub.waitItems('secret', 5_000);
    fixture.time.advance(4_999);
    expect(await isOpen(waiting)).toBe(true);
    fixture.time.advance(1);
    await expect(waiting).resolves.toMatchObject(expected);
  });

  test('is told at once of a refusal, with what the sidecar said', async () => {
    const { fixture, secrets, two } = started();
    two.answer = () => ({ nack: NackClass.NACK_CLASS_INVALID, errors: [{ resource: 'secret/key', code: 'bad-item', message: 'too long' }] });
    secrets.put('service/web', 'key', '2');
    const waiting = fixture.hub.waitItems('secret', 10_000);
    fixture.time.settle();
    await expect(waiting).resolves.toMatchObject({ counts: { refused: 1, applied: 1 }, sidecars: [{ nodeId: 'web-2', outcome: 'refused', refusal: { lane: 'state', errors: [{ message: 'too long' }] } }, { nodeId: 'web-1' }] });
    await expect(fixture.hub.waitItems('secret', 10_000)).resolves.toMatchObject({ counts: { refused: 1 } });
  });

  test('waits for what is taken away as for what comes', async () => {
    const { fixture, secrets, one, two } = started();
    two.answer = () => 'silent';
    secrets.put('service/web', 'key', null);
    const waiting = fixture.hub.waitItems('secret', 10_000);
    fixture.time.settle();
    expect(one.items.has('secret/key')).toBe(false);
    expect(await isOpen(waiting)).toBe(true);
    confirm(two);
    fixture.time.settle();
    await expect(waiting).resolves.toMatchObject({ done: true, counts: { total: 2, applied: 2 } });
  });

  test('is not held up by items of another kind, nor by what is wanted later', async () => {
    const { fixture, secrets, others, two } = started();
    two.answer = () => 'silent';
    others.put('service/web', 'roots', '1');
    fixture.time.settle();
    await expect(fixture.hub.waitItems('secret', 10_000)).resolves.toMatchObject({ done: true, counts: { applied: 2 } });
    confirm(two);
    fixture.time.advance(1);
    secrets.put('service/web', 'key', '2');
    const waiting = fixture.hub.waitItems('secret', 10_000);
    fixture.time.advance(1);
    secrets.put('service/web', 'key', '3');
    fixture.time.advance(1);
    confirm(two);
    expect(two.states.at(-1)?.items[0]?.body.toString()).toBe('2');
    fixture.time.settle();
    expect(await isOpen(waiting)).toBe(true);
    fixture.time.advance(1);
    secrets.put('service/web', 'key', '4');
    fixture.time.advance(1);
    confirm(two);
    fixture.time.settle();
    await expect(waiting).resolves.toMatchObject({ done: true, counts: { applied: 2 } });
  });

  test('is not answered by a part of what was wanted', async () => {
    const { fixture, secrets, two } = started({ stateMessageBytes: 1_000 });
    two.answer = () => 'silent';
    for (const name of ['a', 'b', 'c']) secrets.put('service/web', name, name.repeat(800));
    const waiting = fixture.hub.waitItems('secret', 10_000);
    const index = fixture.publish({ ...mesh, 'service/orders': { resources: ['changed'] } });
    const enforced = fixture.hub.waitApplied(index, 10_000);
    for (let part = 0; part < 3; part++) {
      fixture.time.advance(5);
      expect([await isOpen(waiting), fixture.hub.enforcement(index)?.counts.applied], `after ${part} parts`).toEqual([true, 2]);
      confirm(two);
    }
    fixture.time.settle();
    await expect(waiting).resolves.toMatchObject({ done: true, counts: { applied: 2 } });
    await expect(enforced).resolves.toMatchObject({ done: true, counts: { total: 3, applied: 3 } });
  });
});

describe('sidecars out of contact', () => {
  test('that went without a word are named offline: they may still serve; those that left in order are not', async () => {
    const { fixture, secrets, one, two } = started();
    const left = fixture.connect({ nodeId: 'web-3', subject: web });
    fixture.time.advance(200);
    left.send({ $case: 'leaving', value: { deadlineMs: 100n } });
    fixture.time.advance(200);
    fixture.disconnect(left);
    fixture.disconnect(two);
    secrets.put('service/web', 'key', '2');
    fixture.time.settle();
    expect(one.items.get('secret/key')).toBe('2');
    await expect(fixture.hub.waitItems('secret', 10_000)).resolves.toMatchObject({ done: true, counts: { total: 2, applied: 1, offline: 1 }, sidecars: [{ nodeId: 'web-2', outcome: 'offline' }, { nodeId: 'web-1', outcome: 'applied' }] });
    expect(fixture.hub.sidecar('web-3')).toMatchObject({ phase: 'offline', left: true });
    expect(fixture.hub.sidecar('web-2')?.left).toBeUndefined();
  });

  test('that go while somebody waits are offline, and have it when they come back and confirm', async () => {
    const { fixture, secrets, one, two } = started();
    one.answer = () => 'silent';
    two.answer = () => 'silent';
    secrets.put('service/web', 'key', '2');
    const waiting = fixture.hub.waitItems('secret', 10_000);
    fixture.time.settle();
    fixture.disconnect(two);
    expect(await isOpen(waiting)).toBe(true);
    two.answer = () => 'ack';
    fixture.connect(two);
    fixture.time.advance(50);
    expect(await isOpen(waiting)).toBe(true);
    confirm(one);
    fixture.time.settle();
    await expect(waiting).resolves.toMatchObject({ done: true, counts: { total: 2, applied: 2, offline: 0 } });
  });
});

test('beyond the bound of waits whoever asks is told what is known', async () => {
  const { fixture, secrets, two } = started({ itemWaitsMax: 1 });
  two.answer = () => 'silent';
  secrets.put('service/web', 'key', '2');
  fixture.time.settle();
  const first = fixture.hub.waitItems('secret', 10_000);
  await expect(fixture.hub.waitItems('secret', 10_000)).resolves.toMatchObject({ done: false, counts: { pending: 1 } });
  expect(await isOpen(first)).toBe(true);
  fixture.hub.close();
  await expect(first).resolves.toMatchObject({ done: false, counts: { pending: 1 } });
});
