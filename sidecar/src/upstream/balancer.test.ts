import { seededRandom } from '@remora/core/random';
import type { EndpointSet, ServiceEndpoint } from '@remora/snapshot/decode-endpoints';
import { describe, expect, it } from 'vitest';
import { UsualBalancer } from './balancer.ts';
import { Cluster } from './cluster.ts';
import { Http1Pool } from './http1-pool.ts';
import { defaultPoolLimits } from './pool-limits.ts';
import type { ClusterHost } from './cluster-host.ts';
import type { UpstreamAddress } from './upstream-address.ts';
import type { UpstreamPool } from './upstream-pool.ts';

function endpoint(id: string, more: Partial<ServiceEndpoint> = {}): ServiceEndpoint {
  return {
    id, ports: new Map([['http', { host: id, port: 80, protocols: [] }]]), labels: [], locality: '', weight: 1, backup: false, suspect: false, draining: false, mtls: false, source: 'static',
    ...more,
  };
}

function cluster(...endpoints: ServiceEndpoint[]): { cluster: Cluster; pools: Map<string, UpstreamPool> } {
  const pools = new Map<string, UpstreamPool>();
  const poolFor = (address: UpstreamAddress): UpstreamPool => {
    const pool = pools.get(address.host) ?? new Http1Pool(address, defaultPoolLimits, () => { throw new Error('not connected here'); });
    pools.set(address.host, pool);
    return pool;
  };
  const made = new Cluster('app', { poolFor });
  made.apply(setOf(...endpoints));
  return { cluster: made, pools };
}

const setOf = (...endpoints: ServiceEndpoint[]): EndpointSet => ({ service: 'app', endpoints });

function shares(one: Cluster, options: { labels?: string[]; avoid?: string[]; draws?: number; hold?: boolean } = {}): Record<string, number> {
  const balancer = new UsualBalancer(seededRandom(7));
  const counts: Record<string, number> = {};
  for (let i = 0; i < (options.draws ?? 4000); i++) {
    const chosen = balancer.choose({ avoid: options.avoid ?? [] }, one.subset('http', options.labels ?? []), 0) as ClusterHost | null;
    const id = chosen?.id ?? 'nobody';
    counts[id] = (counts[id] ?? 0) + 1;
    if (options.hold && chosen) chosen.active++;
  }
  return counts;
}

describe('UsualBalancer', () => {
  it('gives equal instances equal shares, idle ones first', () => {
    const { cluster: one } = cluster(endpoint('a'), endpoint('b'), endpoint('c'));
    const even = shares(one);
    for (const id of ['a', 'b', 'c']) expect(even[id] ?? 0).toBeGreaterThan(1150);
    const [busy] = one.hosts;
    if (busy) busy.active = 100;
    // Only where both draws hit it.
    expect(shares(one)['a'] ?? 0).toBeLessThan(600);
  });

  it('holds weights while requests run', () => {
    const { cluster: one } = cluster(endpoint('a', { weight: 9 }), endpoint('b', { weight: 1 }));
    const { a = 0, b = 0 } = shares(one, { draws: 2000, hold: true });
    expect(a / b).toBeGreaterThan(7);
    expect(a / b).toBeLessThan(11);
  });

  it('never takes weight 0, unless all have it', () => {
    expect(shares(cluster(endpoint('a', { weight: 0 }), endpoint('b')).cluster)).toEqual({ b: 4000 });
    expect(Object.keys(shares(cluster(endpoint('a', { weight: 0 }), endpoint('b', { weight: 0 })).cluster)).sort()).toEqual(['a', 'b']);
  });

  it.each([
    ['usual ones before all', [endpoint('a'), endpoint('b', { backup: true }), endpoint('c', { suspect: true }), endpoint('d', { draining: true })], 'a'],
    ['backups before suspects', [endpoint('b', { backup: true }), endpoint('c', { suspect: true }), endpoint('d', { draining: true })], 'b'],
    ['suspects before draining ones', [endpoint('c', { suspect: true }), endpoint('d', { draining: true })], 'c'],
    ['draining ones at last', [endpoint('d', { draining: true })], 'd'],
  ])('takes %s', (_, endpoints, expected) => {
    expect(Object.keys(shares(cluster(...endpoints).cluster))).toEqual([expected]);
  });

  it('passes over what an earlier attempt used, into the next tier if need be, and takes it where there is nobody else', () => {
    const { cluster: one } = cluster(endpoint('a'), endpoint('b'), endpoint('c', { backup: true }));
    expect(Object.keys(shares(one, { avoid: ['a'] }))).toEqual(['b']);
    expect(Object.keys(shares(one, { avoid: ['a', 'b'] }))).toEqual(['c']);
    expect(Object.keys(shares(one, { avoid: ['a', 'b', 'c'] })).sort()).toEqual(['a', 'b']);
  });

  it('passes over what could not be connected just now', () => {
    const { cluster: one, pools } = cluster(endpoint('a'), endpoint('b'));
    pools.get('a')?.connectFailed(0);
    one.subset('http', []);
    pools.get('a')?.connectFailed(0);
    expect(Object.keys(shares(one))).toEqual(['b']);
  });

  it('knows subsets by all of their labels, and follows the set', () => {
    const { cluster: one } = cluster(endpoint('a', { labels: ['version=v1', 'zone=x'] }), endpoint('b', { labels: ['version=v2', 'zone=x'] }));
    expect(shares(one, { labels: ['version=v2'] })).toEqual({ b: 4000 });
    expect(shares(one, { labels: ['version=v2', 'zone=y'] })).toEqual({ nobody: 4000 });
    one.apply(setOf(endpoint('c', { labels: ['version=v2'] })));
    expect(shares(one, { labels: ['version=v2'] })).toEqual({ c: 4000 });
    expect(one.subset('grpc', []).hosts).toEqual([]);
    one.forget();
    expect([one.known, shares(one)]).toEqual([false, { nobody: 4000 }]);
  });
});
