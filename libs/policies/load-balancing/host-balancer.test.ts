import { seededRandom } from '@remora/core/random';
import type { Call } from '@remora/policy-kit/exchange';
import { hostHealth, HostStates } from '@remora/policy-kit/host-states';
import type { Host, HostSet } from '@remora/policy-kit/hosts';
import { TestFilterContext } from '@remora/testing/filter-context';
import { expect, test } from 'vitest';
import { HostBalancer } from './host-balancer.ts';
import { latencyCost } from './host-cost.ts';
import { groupHosts } from './host-levels.ts';
import { usualLoadBalancing, type LoadBalancingSettings } from './wire.ts';

type TestHost = { -readonly [K in keyof Host]: Host[K] };

/** A destination whose hosts the test moves about. */
class Destination {
  readonly states = new HostStates(new ArrayBuffer(HostStates.bytes()));
  readonly hosts: readonly TestHost[];
  readonly context = new TestFilterContext('loadBalancing', { random: seededRandom(11) });
  readonly set: HostSet;
  now = 100_000;
  balancer: HostBalancer;

  constructor(settings: Partial<LoadBalancingSettings>, hosts: readonly (Partial<TestHost> & { readonly id: string })[], locality = '') {
    this.hosts = hosts.map((host, slot) => ({
      service: 'app', port: 'http', address: `${host.id}:80`, slot, weight: 1, locality: '', labels: [], backup: false, suspect: false, draining: false, since: 0, active: 0, downUntil: 0, latencyMs: 0, latencyAt: 0, owesSince: 0, ...host,
    }));
    this.set = { hosts: this.hosts, all: this.hosts, states: this.states, locality };
    this.balancer = new HostBalancer({ ...usualLoadBalancing, ...settings }, this.context, null);
  }

  get events(): string[] {
    return this.context.events.map(({ event, detail }) => `${event}: ${detail}`);
  }

  host(id: string): TestHost {
    const host = this.hosts.find((one) => one.id === id);
    if (host === undefined) throw new Error(`no host ${id}`);
    return host;
  }

  ill(...ids: string[]): void {
    for (const host of this.hosts) this.states.setHealth(host.slot, ids.includes(host.id) ? hostHealth.unhealthy : hostHealth.healthy);
    this.now += 100;
  }

  choose(avoid: string[] = []): string {
    return this.balancer.choose({ avoid } as unknown as Call, this.set, this.now)?.id ?? 'nobody';
  }

  shares(draws = 20_000, avoid: string[] = []): Record<string, number> {
    const counts: Record<string, number> = {};
    for (let i = 0; i < draws; i++) {
      const id = this.choose(avoid);
      counts[id] = (counts[id] ?? 0) + 1 / draws;
    }
    return counts;
  }
}

const named = (...ids: string[]): { id: string }[] => ids.map((id) => ({ id }));

test('roundRobin gives every host its turn, whatever its weight, and passes over who may not be used', () => {
  const one = new Destination({ algorithm: 'roundRobin' }, [{ id: 'a', weight: 5 }, { id: 'b' }, { id: 'c' }]);
  const turns = Array.from({ length: 6 }, () => one.choose());
  expect(turns.slice(0, 3)).toEqual(turns.slice(3));
  expect(new Set(turns)).toEqual(new Set(['a', 'b', 'c']));
  one.ill('b');
  expect(new Set(Array.from({ length: 6 }, () => one.choose()))).toEqual(new Set(['a', 'c']));
});

test('weighted takes turns by weight, spread out', () => {
  const one = new Destination({ algorithm: 'weighted' }, [{ id: 'a', weight: 5 }, { id: 'b' }, { id: 'c' }, { id: 'never', weight: 0 }]);
  const turns = Array.from({ length: 7 }, () => one.choose()).join('');
  // The exact sequence, from wherever this caller began in it.
  expect('aabacaaaabacaa').toContain(turns);
});

test.each(['random', 'leastRequest', 'peakEwma'] as const)('%s draws by weight', (algorithm) => {
  const one = new Destination({ algorithm }, [{ id: 'a', weight: 6 }, { id: 'b', weight: 3 }, { id: 'c', weight: 1 }]);
  for (const host of one.hosts) Object.assign(host, { latencyMs: 5, latencyAt: one.now });
  const counts = { a: 0, b: 0, c: 0 };
  // Requests stay for as long as a hundred others begin: what counts is what is under way.
  const active: TestHost[] = [];
  for (let i = 0; i < 20_000; i++) {
    const host = one.host(one.choose());
    host.active++;
    counts[host.id as 'a']++;
    active.push(host);
    if (active.length > 100) (active.shift() as TestHost).active--;
  }
  expect(counts.a / 20_000).toBeCloseTo(0.6, 1);
  expect(counts.b / 20_000).toBeCloseTo(0.3, 1);
  expect(counts.c / 20_000).toBeCloseTo(0.1, 1);
});

test('of two, the one with fewer requests is taken', () => {
  const one = new Destination({ algorithm: 'leastRequest' }, named('a', 'b', 'c'));
  one.host('a').active = 10;
  expect(one.shares()['a'] ?? 0).toBe(0);
  one.host('b').active = 5;
  // a loses both ways, b against c, and two different ones are drawn.
  expect(one.shares()).toEqual({ b: expect.closeTo(1 / 3, 1), c: expect.closeTo(2 / 3, 1) });
});

test('a host ten times slower gets nearly nothing, and is tried again when that is long ago', () => {
  const one = new Destination({}, named('slow', 'b', 'c', 'd'));
  for (const host of one.hosts) Object.assign(host, { latencyMs: host.id === 'slow' ? 50 : 5, latencyAt: one.now });
  expect(one.shares()['slow'] ?? 0).toBe(0);
  for (const host of one.hosts) if (host.id !== 'slow') host.latencyAt = one.now + 5_000;
  one.now += 5_000;
  expect(one.shares()['slow'] ?? 0).toBeGreaterThan(0.3);
});

test('a host without an answer gets one request, and no more before its answer', () => {
  expect(latencyCost({ active: 0, latencyMs: 0, latencyAt: 0, owesSince: 0 }, 1, 5)).toBe(0);
  expect(latencyCost({ active: 1, latencyMs: 0, latencyAt: 0, owesSince: 0 }, 1, 5)).toBeGreaterThan(latencyCost({ active: 1000, latencyMs: 10_000, latencyAt: 5, owesSince: 0 }, 1, 5));
  expect(latencyCost({ active: 3, latencyMs: 10, latencyAt: 5, owesSince: 0 }, 2, 5)).toBe(20);
  expect(latencyCost({ active: 0, latencyMs: 10, latencyAt: 5, owesSince: 0 }, 1, 2_005)).toBeCloseTo(10 / Math.E, 9);
});

test('a host that owes an answer is as slow as it has been silent', () => {
  const busy = { active: 3, latencyMs: 10, latencyAt: 1_000 };
  // Sooner than it usually answers, silence says nothing.
  expect(latencyCost({ ...busy, owesSince: 1_000 }, 1, 1_005)).toBe(latencyCost({ ...busy, owesSince: 0 }, 1, 1_005));
  expect(latencyCost({ ...busy, owesSince: 1_000 }, 1, 1_500)).toBe(500 * 4);
  expect(latencyCost({ ...busy, owesSince: 1_000 }, 2, 16_000)).toBe(15_000 * 2);
});

test('a host that hangs gets nothing any more, long before anybody gives it up', () => {
  const one = new Destination({}, named('hangs', 'b', 'c', 'd'));
  for (const host of one.hosts) Object.assign(host, { latencyMs: 5, latencyAt: one.now });
  Object.assign(one.host('hangs'), { active: 2, owesSince: one.now });
  for (const passed of [50, 1_000, 10_000]) {
    one.now += passed;
    for (const host of one.hosts) if (host.id !== 'hangs') host.latencyAt = one.now;
    expect(one.shares()['hangs'] ?? 0).toBe(0);
  }
});

test('slow start lets a new host in by its age', () => {
  const one = new Destination({ algorithm: 'random', slowStart: { windowMs: 10_000, aggression: 1, minWeight: 0.1 } }, [{ id: 'old' }, { id: 'new', since: 100_000 }]);
  expect(one.shares()['new']).toBeCloseTo(0.1 / 1.1, 1);
  one.now += 5_000;
  expect(one.shares()['new']).toBeCloseTo(0.5 / 1.5, 1);
  one.now += 5_000;
  expect(one.shares()['new']).toBeCloseTo(0.5, 1);
});

test.each([
  ['usual ones before all', [{ id: 'a' }, { id: 'b', backup: true }, { id: 'c', suspect: true }, { id: 'd', draining: true }], 'a'],
  ['backups before suspects', [{ id: 'b', backup: true }, { id: 'c', suspect: true }, { id: 'd', draining: true }], 'b'],
  ['suspects before draining ones', [{ id: 'c', suspect: true }, { id: 'd', draining: true }], 'c'],
  ['draining ones at last', [{ id: 'd', draining: true }], 'd'],
] as const)('takes %s', (_, hosts, expected) => {
  expect(Object.keys(new Destination({}, hosts).shares(200))).toEqual([expected]);
});

test('backups take what usual hosts cannot', () => {
  const one = new Destination({ algorithm: 'random' }, [...named('a', 'b', 'c', 'd'), { id: 'spare', backup: true }]);
  one.ill('a', 'b');
  expect(one.shares()).toEqual({ c: expect.closeTo(0.35, 1), d: expect.closeTo(0.35, 1), spare: expect.closeTo(0.3, 1) });
  one.ill('a', 'b', 'c', 'd');
  expect(one.shares(100)).toEqual({ spare: expect.closeTo(1, 5) });
});

test('suspects and draining ones are not taken while anybody else is usable, even if too few are', () => {
  const one = new Destination({}, [...named('a', 'b', 'c', 'd'), { id: 's', suspect: true }, { id: 'x', draining: true }]);
  one.ill('a', 'b', 'c');
  expect(Object.keys(one.shares(500)).sort()).toEqual(['a', 'b', 'c', 'd']);
  one.ill('a', 'b', 'c', 'd');
  expect(Object.keys(one.shares(500))).toEqual(['s']);
  one.ill('a', 'b', 'c', 'd', 's');
  expect(Object.keys(one.shares(500))).toEqual(['x']);
});

test('near hosts first, the others by how ill the near ones are', () => {
  const one = new Destination({ algorithm: 'random', prefer: 'zone' }, [
    { id: 'near-1', locality: 'eu/a/1' }, { id: 'near-2', locality: 'eu/a/2' }, { id: 'region', locality: 'eu/b' }, { id: 'far', locality: 'us/a' }, { id: 'unknown' },
  ], 'eu/a/2');
  expect(Object.keys(one.shares(2000)).sort()).toEqual(['near-1', 'near-2']);
  one.ill('near-1');
  expect(one.shares()).toEqual({ 'near-2': expect.closeTo(0.7, 1), region: expect.closeTo(0.3, 1) });
  one.ill('near-1', 'near-2', 'region');
  expect(Object.keys(one.shares(500)).sort()).toEqual(['far', 'unknown']);
});

test('localities are compared from wide to narrow', () => {
  const host = (locality: string): Host => new Destination({}, [{ id: 'x', locality }]).hosts[0] as Host;
  const levels = (own: string, prefer: 'none' | 'region' | 'subzone'): string[][] => groupHosts(['eu/a/1', 'eu/a/2', 'eu/b/1', 'us/a/1', ''].map(host), own, prefer).levels.map((level) => level.map(({ locality }) => locality));
  expect(levels('eu/a/1', 'subzone')).toEqual([['eu/a/1'], ['eu/a/2'], ['eu/b/1'], ['us/a/1', '']]);
  expect(levels('eu/a/1', 'region')).toEqual([['eu/a/1', 'eu/a/2', 'eu/b/1'], ['us/a/1', '']]);
  expect(levels('eu/a/1', 'none')).toHaveLength(1);
  expect(levels('', 'subzone')).toHaveLength(1);
});

test('in panic everybody is asked but those taken out by hand and those that are not there; without it nobody where nobody is well', () => {
  const one = new Destination({ algorithm: 'random' }, named('a', 'b', 'c', 'd', 'e'));
  one.states.setTakenOutUntil(one.host('e').slot, Infinity);
  one.ill('a', 'b', 'c');
  expect(Object.keys(one.shares(500)).sort()).toEqual(['a', 'b', 'c', 'd']);
  one.host('d').downUntil = Infinity;
  one.ill('a', 'b', 'c');
  expect(Object.keys(one.shares(500)).sort()).toEqual(['a', 'b', 'c']);
  const strict = new Destination({ panicThreshold: 0 }, named('a', 'b'));
  strict.ill('a');
  expect(Object.keys(strict.shares(100))).toEqual(['b']);
  strict.ill('a', 'b');
  expect(strict.choose()).toBe('nobody');
});

test('hosts that could not be connected are passed over, however many they are; where there are no others they are tried', () => {
  const one = new Destination({}, named('a', 'b', 'c', 'd'));
  for (const id of ['a', 'b', 'c']) one.host(id).downUntil = one.now + 1000;
  expect(Object.keys(one.shares(500))).toEqual(['d']);
  one.host('d').downUntil = one.now + 1000;
  one.now += 100;
  expect(Object.keys(one.shares(500)).sort()).toEqual(['a', 'b', 'c', 'd']);
});

test.each(['peakEwma', 'leastRequest', 'roundRobin', 'weighted', 'random'] as const)('%s goes elsewhere after a failure, as long as there is an elsewhere', (algorithm) => {
  const one = new Destination({ algorithm }, [...named('a', 'b'), { id: 'spare', backup: true }]);
  expect(Object.keys(one.shares(200, ['a']))).toEqual(['b']);
  expect(Object.keys(one.shares(200, ['a', 'b']))).toEqual(['spare']);
  expect(one.choose(['a', 'b', 'spare'])).not.toBe('nobody');
});

test('one host is asked whatever it is like, unless it was taken out by hand', () => {
  const one = new Destination({}, named('only'));
  one.ill('only');
  one.host('only').downUntil = Infinity;
  expect([one.choose(), one.choose(['only'])]).toEqual(['only', 'only']);
  one.states.setTakenOutUntil(0, Infinity);
  one.now += 100;
  expect(one.choose()).toBe('nobody');
  expect(new Destination({}, []).choose()).toBe('nobody');
});

test('panic and failover are told when they have lasted for a second, once, and so is their end', () => {
  const one = new Destination({}, [...named('a', 'b'), { id: 'spare', backup: true }]);
  const pass = (ms: number): void => {
    for (let waited = 0; waited < ms; waited += 100) {
      one.now += 100;
      one.choose();
    }
  };
  pass(2000);
  one.ill('a');
  pass(500);
  one.ill();
  pass(2000);
  expect(one.events).toEqual([]);
  one.ill('a');
  pass(3000);
  one.ill('a', 'b', 'spare');
  pass(3000);
  one.ill();
  pass(3000);
  expect(one.events).toEqual(['failover: 2 of 3 hosts are usable', 'panic: 0 of 3 hosts are usable', 'failover-ended: 0 of 3 hosts are usable', 'panic-ended: 3 of 3 hosts are usable']);
});

test('what was wrong with several hosts is over when one is left, and well', () => {
  const one = new Destination({}, named('a', 'b'));
  one.ill('a', 'b');
  for (let i = 0; i < 30; i++) {
    one.now += 100;
    one.choose();
  }
  expect(one.events).toEqual(['panic: 0 of 2 hosts are usable']);
  one.ill();
  const [only = one.host('a')] = one.hosts;
  const left: HostSet = { ...one.set, hosts: [only], all: [only] };
  for (let i = 0; i < 30; i++) {
    one.now += 100;
    expect(one.balancer.choose({ avoid: [] } as unknown as Call, left, one.now)).toBe(only);
  }
  expect(one.events).toEqual(['panic: 0 of 2 hosts are usable', 'panic-ended: 1 of 1 hosts are usable']);
});

test('leastRequest: a host that answers nobody holds one request more than the busiest of the others; roundRobin goes on giving it its turn', () => {
  const held = (algorithm: 'leastRequest' | 'roundRobin'): number => {
    const one = new Destination({ algorithm }, named('hangs', 'b', 'c'));
    const others: TestHost[] = [];
    for (let i = 0; i < 3_000; i++) {
      const host = one.host(one.choose());
      host.active++;
      if (host.id === 'hangs') continue;
      others.push(host);
      // Six at a time, three each where they are even.
      if (others.length > 6) (others.shift() as TestHost).active--;
    }
    return one.host('hangs').active;
  };
  expect(held('leastRequest')).toBeLessThanOrEqual(8);
  expect(held('roundRobin')).toBe(1_000);
});
