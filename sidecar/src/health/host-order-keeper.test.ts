import { HostStates } from '@remora/policy-kit/host-states';
import { encodeHostOrders } from '@remora/policy-kit/host-orders';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { ManualClock } from '@remora/testing/manual-clock';
import { expect, test } from 'vitest';
import { HostSlots } from '../upstream/host-slots.ts';
import { HealthRecord } from './health-record.ts';
import { HostOrderKeeper } from './host-order-keeper.ts';

class Scene {
  readonly clock = new ManualClock();
  readonly hosts = new HostSlots(this.clock);
  readonly record = new HealthRecord(this.clock);
  readonly keeper = new HostOrderKeeper({ hosts: this.hosts, record: this.record, clock: this.clock });

  has(...ports: readonly number[]): void {
    const endpoints = ports.map((port) => ({ id: `p${port}`, ports: [{ name: 'http', host: '10.0.0.1', port, protocols: [] }], weight: 1, source: 'lease' }));
    this.hosts.grant({ sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'payments', endpoints })).finish()], removed: [] });
  }

  orders(takenOut: Record<string, number>, takenBack: Record<string, number> = {}): void {
    this.keeper.use(new Map([['payments', encodeHostOrders({ takenOut: new Map(Object.entries(takenOut)), takenBack: new Map(Object.entries(takenBack)) })]]));
  }

  eject(port: number): void {
    this.hosts.states.setEjectedUntil(this.slot(port), this.clock.monotonicMs() + 60_000);
    this.hosts.states.setEjections(this.slot(port), 2);
    this.record.add({ kind: 'outlierDetection', event: 'ejected', service: 'payments', host: `10.0.0.1:${port}`, pointer: '/consecutive5xx', policy: '', detail: '', untilMs: this.clock.monotonicMs() + 60_000 });
  }

  slot(port: number): number {
    return this.hosts.of('payments').find(({ address }) => address === `10.0.0.1:${port}`)?.slot ?? -1;
  }

  usable(port: number): boolean {
    return this.hosts.states.usable(this.slot(port), this.clock.monotonicMs());
  }

  get events(): string[] {
    return this.record.newest(10).map(({ event, host }) => `${event} ${host}`).reverse();
  }
}

test('a host that was taken out is unusable until the end, or until it is taken back', () => {
  const scene = new Scene();
  scene.has(1, 2);
  scene.orders({ '10.0.0.1:1': scene.clock.wallMs() + 60_000, '10.0.0.1:2': scene.clock.wallMs() + 60_000 });
  expect([scene.usable(1), scene.usable(2)]).toEqual([false, false]);
  scene.orders({ '10.0.0.1:2': scene.clock.wallMs() + 60_000 });
  expect([scene.usable(1), scene.usable(2)]).toEqual([true, false]);
  scene.clock.advance(60_000);
  expect(scene.usable(2)).toBe(true);
  expect(scene.events).toEqual(['taken-out 10.0.0.1:1', 'taken-out 10.0.0.1:2', 'returned 10.0.0.1:1']);
});

test('a host that is out is told of once, however many others come', () => {
  const scene = new Scene();
  scene.has(1);
  scene.orders({ '10.0.0.1:1': scene.clock.wallMs() + 60_000 });
  scene.has(1, 2);
  scene.has(1, 2, 3);
  expect(scene.events).toEqual(['taken-out 10.0.0.1:1']);
});

test('an ejection that the record has forgotten is taken back, a later one is not', () => {
  const scene = new Scene();
  scene.has(1);
  scene.eject(1);
  for (let nth = 0; nth < 1_024; nth++) scene.record.add({ kind: 'outlierDetection', event: 'ejected', service: 'other', host: `10.1.0.1:${nth}`, pointer: '', policy: '', detail: '', untilMs: scene.clock.monotonicMs() + 60_000 });
  expect(scene.usable(1)).toBe(false);
  scene.clock.advance(1_000);
  const back = { '10.0.0.1:1': scene.clock.wallMs() };
  scene.orders({}, back);
  expect(scene.usable(1)).toBe(true);
  scene.hosts.states.setEjectedUntil(scene.slot(1), scene.clock.monotonicMs() + 60_000);
  scene.has(1, 2);
  scene.orders({}, back);
  expect(scene.usable(1)).toBe(false);
});

test('an order waits for a host that is not there yet', () => {
  const scene = new Scene();
  scene.orders({ '10.0.0.1:1': scene.clock.wallMs() + 60_000 });
  scene.has(1);
  expect(scene.usable(1)).toBe(false);
});

test('what a detector decided before is taken back, what it decides afterwards is not', () => {
  const scene = new Scene();
  scene.has(1);
  scene.eject(1);
  scene.clock.advance(1_000);
  const back = { '10.0.0.1:1': scene.clock.wallMs() };
  scene.orders({}, back);
  expect([scene.usable(1), scene.hosts.states.ejections(scene.slot(1)), scene.record.current()]).toEqual([true, 0, []]);
  scene.clock.advance(1_000);
  scene.eject(1);
  scene.orders({}, back);
  scene.has(1, 2);
  expect(scene.usable(1)).toBe(false);
});

const hour = 3_600_000;

test.each([hour, -hour])('a control plane whose clock differs by %i ms: orders hold until its end, and take back what was before them', (ahead) => {
  const scene = new Scene();
  scene.has(1, 2);
  scene.keeper.useTime(scene.clock.wallMs() + ahead - scene.clock.monotonicMs());
  const theirs = (): number => scene.clock.wallMs() + ahead;
  scene.eject(2);
  scene.clock.advance(1_000);
  scene.orders({ '10.0.0.1:1': theirs() + 60_000 }, { '10.0.0.1:2': theirs() });
  expect([scene.usable(1), scene.usable(2)]).toEqual([false, true]);
  scene.clock.advance(59_999);
  expect(scene.usable(1)).toBe(false);
  scene.clock.advance(1);
  expect(scene.usable(1)).toBe(true);
});

test.each([hour, -hour])('our own clock is set by %i ms: nothing of it changes', (by) => {
  const scene = new Scene();
  scene.has(1);
  scene.orders({ '10.0.0.1:1': scene.clock.wallMs() + 60_000 });
  scene.clock.stepWall(by);
  // Hosts and other orders come meanwhile.
  scene.has(1, 2);
  scene.orders({ '10.0.0.1:1': scene.clock.wallMs() - by + 60_000, '10.0.0.1:9': 1 });
  scene.clock.advance(59_999);
  expect([scene.usable(1), scene.record.current().length]).toEqual([false, 1]);
  scene.clock.advance(1);
  expect([scene.usable(1), scene.record.current().length]).toEqual([true, 0]);
});

test('what is first heard of the clock of the control plane changes what was believed before', () => {
  const scene = new Scene();
  scene.has(1);
  scene.orders({ '10.0.0.1:1': scene.clock.wallMs() - hour + 60_000 });
  expect(scene.usable(1)).toBe(true);
  scene.keeper.useTime(scene.clock.wallMs() - hour - scene.clock.monotonicMs());
  expect(scene.usable(1)).toBe(false);
});

test('orders about hosts beyond the bound of slots are let go', () => {
  const states = new HostStates(new ArrayBuffer(HostStates.bytes()));
  states.setTakenOutUntil(16_384, 5);
  expect(states.usable(16_384, 1)).toBe(true);
});
