import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { hostHealth, hostSlotsMax, noSlot } from '@remora/policy-kit/host-states';
import { decodeEndpointSet } from '@remora/snapshot/decode-endpoints';
import { ManualClock } from '@remora/testing/manual-clock';
import { expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { ClusterHost } from './cluster-host.ts';
import { Http1Pool } from './http1-pool.ts';
import { HostSlots, type GrantedEndpoints } from './host-slots.ts';
import { defaultPoolLimits } from './pool-limits.ts';

interface Wanted {
  readonly id: string;
  readonly at?: string;
  readonly weight?: number;
  readonly labels?: readonly { readonly key: string; readonly value: string }[];
}

function encoded(service: string, ...endpoints: readonly Wanted[]): Uint8Array {
  return EndpointSet.encode(EndpointSet.fromPartial({
    service, endpoints: endpoints.map(({ id, at = id, weight = 1, labels = [] }) => ({ id, weight, labels: [...labels], ports: [{ name: 'admin', host: at, port: 81 }, { name: 'http', host: at, port: 80 }] })),
  })).finish();
}

/** One data thread's cluster of `app`. */
class Thread {
  readonly cluster: Cluster;

  constructor(slots: HostSlots) {
    this.cluster = new Cluster('app', { poolFor: (address) => new Http1Pool(address, defaultPoolLimits, () => { throw new Error('not connected here'); }), states: slots.states });
  }

  take({ sets, removed }: GrantedEndpoints): void {
    for (const granted of sets) {
      const decoded = decodeEndpointSet(granted.bytes);
      if (decoded.ok && decoded.set.service === 'app') this.cluster.apply(decoded.set, granted);
    }
    if (removed.includes('app')) this.cluster.forget();
  }

  get hosts(): readonly ClusterHost[] {
    return this.cluster.subset('http', []).hosts;
  }
}

const slotsOf = (hosts: Iterable<{ readonly id: string; readonly slot: number }>): Record<string, number> => Object.fromEntries([...hosts].map(({ id, slot }) => [id, slot]));

test('a host stays the same object with the same slot, in every thread, for as long as sets name it', () => {
  const slots = new HostSlots(new ManualClock());
  const [one, other] = [new Thread(slots), new Thread(slots)];
  const first = slots.grant({ sets: [encoded('app', { id: 'b' }, { id: 'a' })], removed: [] });
  for (const thread of [one, other]) thread.take(first);
  const [a, b] = one.hosts;
  expect(slotsOf(one.hosts)).toEqual(slotsOf(other.hosts));
  expect(slotsOf(slots.of('app').filter(({ port }) => port === 'http'))).toEqual(slotsOf(one.hosts));
  expect(new Set([...slots.of('app')].map(({ slot }) => slot)).size).toBe(4);
  one.take(slots.grant({ sets: [encoded('app', { id: 'a', weight: 7 }, { id: 'c' })], removed: [] }));
  expect(one.hosts[0]).toBe(a);
  expect([a?.weight, a?.gone, b?.gone]).toEqual([7, false, true]);
  // A thread that comes later.
  const late = new Thread(slots);
  late.take(slots.all());
  expect(slotsOf(late.hosts)).toEqual(slotsOf(one.hosts));
});

test('under another address it is another host', () => {
  const slots = new HostSlots(new ManualClock());
  const thread = new Thread(slots);
  thread.take(slots.grant({ sets: [encoded('app', { id: 'a' })], removed: [] }));
  const before = thread.hosts[0];
  thread.take(slots.grant({ sets: [encoded('app', { id: 'a', at: 'elsewhere' })], removed: [] }));
  const after = thread.hosts[0];
  expect([before?.gone, after?.gone, after?.address]).toEqual([true, false, 'elsewhere:80']);
  expect(after?.slot).not.toBe(before?.slot);
  expect(after?.since).toBeGreaterThan(before?.since ?? 0);
});

test('a slot is used again only after it was released, with nothing known of it and a later first sight', () => {
  const slots = new HostSlots(new ManualClock());
  const many = (from: number): Wanted[] => Array.from({ length: hostSlotsMax / 2 }, (_, i) => ({ id: `${from + i}` }));
  slots.grant({ sets: [encoded('app', ...many(0))], removed: [] });
  const [gone] = slots.of('app');
  slots.states.setHealth(gone?.slot ?? 0, hostHealth.unhealthy);
  slots.grant({ sets: [encoded('other', { id: 'x' })], removed: [] });
  expect(slots.of('other').map(({ slot }) => slot)).toEqual([noSlot, noSlot]);
  slots.grant({ sets: [], removed: ['app'] });
  const leaving = slots.takeLeaving();
  expect(leaving).toHaveLength(hostSlotsMax);
  slots.grant({ sets: [encoded('other', { id: 'x' })], removed: [] });
  expect(slots.of('other').map(({ slot }) => slot)).toEqual([noSlot, noSlot]);
  slots.release(leaving);
  slots.grant({ sets: [encoded('other', { id: 'x' })], removed: [] });
  const [reused] = slots.of('other');
  expect(reused?.slot).toBe(gone?.slot);
  expect(slots.states.health(reused?.slot ?? 0)).toBe(hostHealth.unchecked);
  expect(reused?.since).toBeGreaterThan(gone?.since ?? 0);
});

test('whoever follows the hosts of a service hears of each change before data threads do', () => {
  const slots = new HostSlots(new ManualClock());
  const heard: string[] = [];
  const stop = slots.onChange((service) => heard.push(`${service}: ${slots.of(service).length}`));
  slots.grant({ sets: [encoded('app', { id: 'a' })], removed: [] });
  slots.grant({ sets: [new Uint8Array([255])], removed: ['app', 'never-there'] });
  stop();
  slots.grant({ sets: [encoded('app', { id: 'a' })], removed: [] });
  expect(heard).toEqual(['app: 2', 'app: 0']);
});

test('a subset knows all hosts of its port', () => {
  const slots = new HostSlots(new ManualClock());
  const thread = new Thread(slots);
  thread.take(slots.grant({ sets: [encoded('app', { id: 'a', labels: [{ key: 'v', value: '1' }] }, { id: 'b' })], removed: [] }));
  const subset = thread.cluster.subset('http', ['v=1']);
  expect([subset.hosts.map(({ id }) => id), subset.all.map(({ id }) => id)]).toEqual([['a'], ['a', 'b']]);
  expect(subset.all).toBe(thread.cluster.subset('http', []).hosts);
});

test('latency follows a peak at once and lets it fade', () => {
  const slots = new HostSlots(new ManualClock());
  const thread = new Thread(slots);
  thread.take(slots.grant({ sets: [encoded('app', { id: 'a' })], removed: [] }));
  const host = thread.hosts[0] as ClusterHost;
  host.answered(10, 1_000);
  expect(host.latencyMs).toBe(10);
  host.answered(100, 1_001);
  expect(host.latencyMs).toBe(100);
  // After one time constant 1/e of the peak is left.
  host.answered(10, 3_001);
  expect(host.latencyMs).toBeCloseTo(10 + 90 / Math.E, 9);
});

test('who owes answers has been silent since the last of them, and since the first call after it owed none', () => {
  const host = new ClusterHost('app', 'http', 'a', 'a:80');
  host.asked(100);
  host.asked(200);
  expect(host.owesSince).toBe(100);
  host.settled(300, false);
  expect(host.owesSince).toBe(100);
  host.asked(350);
  host.settled(400, true);
  expect(host.owesSince).toBe(400);
  host.settled(500, true);
  expect(host.owesSince).toBe(0);
});

test.each([
  ['ten times its latency', 20, 10_000, 25_000, 200],
  ['no more than what was waited', 20, 10_000, 10_050, 50],
  ['as slow as it was, where nobody waited as long as that', 400, 10_000, 10_050, 400 * Math.exp(-0.1)],
])('no answer in time counts as %s', (_, latencyMs, sinceMs, nowMs, expected) => {
  const host = new ClusterHost('app', 'http', 'a', 'a:80');
  host.answered(latencyMs, 9_850);
  host.ranOut(sinceMs, nowMs);
  expect([host.latencyMs, host.latencyAt]).toEqual([expect.closeTo(expected, 6), nowMs]);
  // Another call of the same silence.
  host.ranOut(sinceMs + 10, nowMs + 10);
  expect(host.latencyAt).toBe(nowMs);
});

test('a host that has never answered, and does not', () => {
  const host = new ClusterHost('app', 'http', 'a', 'a:80');
  host.ranOut(60_000, 75_000);
  expect([host.latencyMs, host.latencyAt]).toEqual([1_000, 75_000]);
});
