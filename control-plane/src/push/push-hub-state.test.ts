import type { Endpoint } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { NackClass } from '@remora/proto/gen/remora/push/v1/push';
import { describe, expect, test } from 'vitest';
import { HubFixture } from './testdata/hub-fixture.ts';
import type { TestSidecar } from './testdata/test-sidecar.ts';

const web = { kind: 'service', name: 'web' } as const;
const orders = { kind: 'service', name: 'orders' } as const;
const payments = { kind: 'service', name: 'payments' } as const;
const mesh = {
  'service/web': { resources: ['w'], destinations: ['orders'] },
  'service/orders': { resources: ['o'], destinations: ['payments'] },
  'service/payments': { resources: ['p'] },
} as const;

function started() {
  const fixture = new HubFixture();
  fixture.publish(mesh);
  const caller = fixture.connect({ nodeId: 'web-1', subject: web });
  return { fixture, caller, hub: fixture.hub };
}

function endpointsOf(sidecar: TestSidecar): Record<string, readonly string[]> {
  return Object.fromEntries(sidecar.endpoints);
}

function fixed(address: string): Endpoint {
  return { id: `static/${address}:80`, ports: [{ name: 'http', host: address, port: 80, protocols: [] }], labels: [], locality: '', weight: 1, backup: false, suspect: false, draining: false, protocols: [], mtls: false, source: 'static' };
}

describe('endpoints', () => {
  test('of what is declared reach the callers, and nobody else', () => {
    const { fixture, caller } = started();
    const callee = fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-1'] });
    expect(endpointsOf(callee)).toEqual({});
    const messages = caller.log.length;
    fixture.connect({ nodeId: 'payments-1', subject: payments });
    fixture.time.advance(200);
    expect(endpointsOf(callee)).toEqual({ payments: ['payments-1'] });
    expect(caller.log).toHaveLength(messages);
  });

  test('are announced when the snapshot is applied and the app is ready, and withdrawn when it is not', () => {
    const { fixture, caller } = started();
    const callee = fixture.connect({ nodeId: 'orders-1', subject: orders, hello: { appReady: false } });
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({});
    callee.heartbeat();
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-1'] });
    callee.appReady = false;
    callee.heartbeat();
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({ orders: [] });
  });

  test('nothing known means hold; an explicit empty set comes when the grace is over', () => {
    const { fixture, caller } = started();
    caller.endpoints.set('orders', ['from-disk']);
    fixture.live(29_000, caller);
    expect(endpointsOf(caller)).toEqual({ orders: ['from-disk'] });
    fixture.live(3_000, caller);
    expect(endpointsOf(caller)).toEqual({ orders: [] });
  });

  test('a full state says what to hold', () => {
    const { caller } = started();
    expect(caller.states[0]).toMatchObject({ full: true, sets: [], hold: ['orders'] });
  });

  test('come before the configuration that names their service, from static documents too', () => {
    const { fixture, caller } = started();
    fixture.connect({ nodeId: 'payments-1', subject: payments });
    fixture.time.advance(200);
    caller.log.length = 0;
    fixture.registry.setStatic(new Map([['legacy', { service: 'legacy', endpoints: [fixed('10.0.0.5')] }]]));
    fixture.publish({ ...mesh, 'service/web': { resources: ['w'], destinations: ['legacy', 'orders', 'payments'] } });
    expect(caller.log).toEqual(['state', 'begin', 'commit']);
    expect(endpointsOf(caller)).toEqual({ legacy: ['static/10.0.0.5:80'], payments: ['payments-1'] });
  });

  test('wait for the ACK of the state before them, where the config needs them', () => {
    const { fixture, caller } = started();
    fixture.connect({ nodeId: 'payments-1', subject: payments });
    fixture.time.advance(200);
    caller.answer = (lane) => (lane === 'state' ? 'silent' : 'ack');
    fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    caller.log.length = 0;
    fixture.publish({ ...mesh, 'service/web': { resources: ['w2'], destinations: ['orders', 'payments'] } });
    expect(caller.log).toEqual([]);
    const state = caller.states.at(-1);
    caller.answer = () => 'ack';
    caller.send({ $case: 'ack', value: { lane: 2, version: state?.version, hash: state?.hash ?? Buffer.alloc(0), persisted: true, warming: [] } });
    fixture.time.settle();
    expect(caller.log).toEqual(['state', 'begin', 'commit']);
  });

  test('of what a config drops go after that config is in force', () => {
    const { fixture, caller } = started();
    fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    caller.log.length = 0;
    fixture.publish({ ...mesh, 'service/web': { resources: ['w'] } });
    expect(caller.log).toEqual(['begin', 'commit', 'state']);
    expect(caller.states.at(-1)?.removed).toEqual(['orders']);
    expect(endpointsOf(caller)).toEqual({});
  });

  test('go on for what is in force while a config is refused', () => {
    const { fixture, caller } = started();
    caller.answer = (lane) => (lane === 'config' ? { nack: NackClass.NACK_CLASS_INVALID } : 'ack');
    fixture.publish({ ...mesh, 'service/web': { resources: ['bad'], destinations: [] } });
    fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-1'] });
  });

  test('go on for orphans', () => {
    const { fixture, caller } = started();
    fixture.publish({ 'service/orders': { resources: ['o'] } });
    fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-1'] });
  });

  test('are not taken from a sidecar whose configuration this store does not know', () => {
    const { fixture, caller } = started();
    caller.endpoints.set('orders', ['from-disk']);
    fixture.disconnect(caller);
    const other = new HubFixture({ time: fixture.time });
    other.index = 100;
    other.publish({ 'service/orders': { resources: ['o'] } });
    other.connect(caller);
    other.live(40_000, caller);
    expect(other.hub.sidecar('web-1')?.phase).toBe('orphaned');
    expect(endpointsOf(caller)).toEqual({ orders: ['from-disk'] });
  });

  test('coalesce: the first change at once, a storm in few messages, the newest wins', () => {
    const { fixture, caller } = started();
    caller.log.length = 0;
    for (let i = 0; i < 50; i++) {
      fixture.connect({ nodeId: `orders-${i}`, subject: orders });
      fixture.time.advance(10);
    }
    fixture.time.advance(200);
    expect(caller.endpoints.get('orders')).toHaveLength(50);
    expect(caller.log.length).toBeGreaterThanOrEqual(4);
    expect(caller.log.length).toBeLessThanOrEqual(8);
    expect(Math.max(...[...fixture.hub.metrics.endpointPropagationMs.counts].map((count, i) => (count > 0 ? i : 0)))).toBe(0);
  });

  test('too large for one message come in several, each complete in itself', () => {
    const fixture = new HubFixture({ limits: { stateMessageBytes: 100 } });
    const names = ['a', 'b', 'c', 'd'];
    fixture.registry.setStatic(new Map(names.map((service) => [service, { service, endpoints: [fixed('10.0.0.1'), fixed('10.0.0.2')] }])));
    fixture.publish({ 'service/web': { resources: ['w'], destinations: names } });
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    expect(caller.states.map(({ full, sets, hold }) => [full, sets.length, hold.length])).toEqual([[true, 1, 3], [false, 1, 0], [false, 1, 0], [false, 1, 0]]);
    expect([...caller.endpoints.keys()].sort()).toEqual(names);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', state: { inSync: true } });
    expect(caller.violations).toEqual([]);
  });

  test.each([
    ['resync', NackClass.NACK_CLASS_RESYNC, 3], ['transient', NackClass.NACK_CLASS_TRANSIENT, 1], ['invalid', NackClass.NACK_CLASS_INVALID, 1],
  ])('refused as %s: %d', (_, nack, attempts) => {
    const { fixture, caller, hub } = started();
    const before = caller.states.length;
    caller.answer = (lane) => (lane === 'state' ? { nack } : 'ack');
    fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(100);
    expect(caller.states.length - before).toBe(attempts);
    caller.answer = () => 'ack';
    fixture.connect({ nodeId: 'orders-2', subject: orders });
    fixture.live(3_000, caller);
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-1', 'orders-2'] });
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', lastRefusal: null });
  });

  test('that a document changed are part of its enforcement', async () => {
    const { fixture, caller, hub } = started();
    fixture.registry.setStatic(new Map([['orders', { service: 'orders', endpoints: [fixed('10.0.0.5')] }]]));
    caller.answer = () => 'silent';
    const index = fixture.publish(mesh);
    expect(hub.enforcement(index)?.sidecars).toMatchObject([{ nodeId: 'web-1', outcome: 'pending' }]);
    const state = caller.states.at(-1);
    caller.send({ $case: 'ack', value: { lane: 2, version: state?.version, hash: state?.hash ?? Buffer.alloc(0), persisted: true, warming: [] } });
    fixture.time.settle();
    await expect(hub.waitApplied(index, 10)).resolves.toMatchObject({ done: true, sidecars: [{ outcome: 'applied' }] });
  });
});

describe('a drain', () => {
  test('is safe when all connected callers have confirmed', () => {
    const { fixture, caller } = started();
    const callee = fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.connect({ nodeId: 'orders-2', subject: orders });
    fixture.time.advance(200);
    callee.send({ $case: 'leaving', value: { deadlineMs: 10_000n } });
    fixture.time.settle();
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-1~', 'orders-2'] });
    expect(callee.log.at(-1)).toBe('safe-to-stop ');
    fixture.disconnect(callee);
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-2'] });
  });

  test('names the stragglers after 10 s', () => {
    const { fixture, caller } = started();
    const callee = fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    caller.answer = () => 'silent';
    callee.send({ $case: 'leaving', value: { deadlineMs: 30_000n } });
    fixture.live(9_000, caller, callee);
    expect(callee.log.at(-1)).not.toMatch(/safe/);
    fixture.live(2_000, caller, callee);
    expect(callee.log.at(-1)).toBe('safe-to-stop web-1');
    expect(fixture.hub.sidecar('orders-1')).toMatchObject({ phase: 'draining', stragglers: ['web-1'] });
    fixture.disconnect(callee);
    expect(fixture.hub.sidecar('orders-1')).toMatchObject({ connected: false, stragglers: ['web-1'] });
  });

  test('does not wait for callers that are gone, nor where nobody calls', () => {
    const { fixture, caller } = started();
    const callee = fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    caller.answer = () => 'silent';
    callee.send({ $case: 'leaving', value: { deadlineMs: 10_000n } });
    fixture.time.settle();
    fixture.disconnect(caller);
    expect(callee.log.at(-1)).toBe('safe-to-stop ');
    const lonely = fixture.connect({ nodeId: 'payments-1', subject: payments });
    fixture.disconnect(callee);
    lonely.send({ $case: 'leaving', value: { deadlineMs: 10_000n } });
    fixture.time.settle();
    expect(lonely.log.at(-1)).toBe('safe-to-stop ');
    expect(fixture.hub.sidecar('payments-1')?.phase).toBe('draining');
  });

  test('ends with a new incarnation', () => {
    const { fixture, caller } = started();
    const callee = fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    callee.send({ $case: 'leaving', value: { deadlineMs: 10_000n } });
    fixture.time.settle();
    fixture.disconnect(callee);
    fixture.connect({ nodeId: 'orders-1', subject: orders, incarnation: 2 });
    fixture.time.advance(200);
    expect(endpointsOf(caller)).toEqual({ orders: ['orders-1'] });
  });
});
