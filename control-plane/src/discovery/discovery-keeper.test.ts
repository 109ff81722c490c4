import { createMemoryStore } from '../store/memory-store.ts';
import type { AskedSource } from '@remora/model/discovery-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import { ManualTimers } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import { createInstanceRegistry, type RunningInstanceRegistry } from '../instances/create-instance-registry.ts';
import type { InstanceLease } from '../instances/instance-registry.ts';
import type { Store } from '../store/store.ts';
import { staticEndpointsOf } from '../compile/static-endpoints.ts';
import { DiscoveryKeeper } from './discovery-keeper.ts';
import { discoveryViolations } from './discovery-check.ts';
import type { DiscoverySource, SourceObserver, SourceTarget } from './discovery-source.ts';
import type { FoundInstance } from './found-instance.ts';

/** A source that says what a test tells it to. */
class ToldSource implements DiscoverySource {
  readonly kind: AskedSource;
  readonly followed: { readonly target: SourceTarget; readonly observer: SourceObserver; closed: boolean }[] = [];

  constructor(kind: AskedSource) {
    this.kind = kind;
  }

  follow(target: SourceTarget, observer: SourceObserver): { close(): void } {
    const one = { target, observer, closed: false };
    this.followed.push(one);
    return { close: () => { one.closed = true; } };
  }

  /** To whoever follows `service` now. */
  to(service: string): SourceObserver {
    const one = this.followed.findLast(({ target, closed }) => target.service === service && !closed);
    if (!one) throw new Error(`nobody follows ${service}`);
    return one.observer;
  }

  close(): void {}
}

function found(...hosts: string[]): FoundInstance[] {
  return hosts.map((host) => ({ id: host, ports: [{ name: 'http', host, port: 8080 }], labels: { v: '2' }, locality: 'eu', weight: 3, backup: false, draining: false }));
}

function service(name: string, more: Partial<ServiceDocument> = {}): ServiceDocument {
  return { kind: 'Service', name, ports: { http: { port: 8080 } }, ...more };
}

const byConsul = { discovery: { source: 'consul' } } as const;

interface World {
  readonly timers: ManualTimers;
  readonly store: Store;
  readonly registry: RunningInstanceRegistry;
  readonly keeper: DiscoveryKeeper;
  readonly consul: ToldSource;
  readonly dns: ToldSource;
  readonly follow: (...documents: readonly ServiceDocument[]) => void;
  /** `10.0.0.1`, `10.0.0.2?` for a suspect; null: held. */
  readonly sees: (name: string) => string | null;
}

function world(before?: World): World {
  const timers = before?.timers ?? new ManualTimers();
  const store = before?.store ?? createMemoryStore({ clock: timers.clock });
  const registry = createInstanceRegistry({ clock: timers.clock, timers, store });
  const [consul, dns] = [new ToldSource('consul'), new ToldSource('dns')];
  const keeper = new DiscoveryKeeper({ clock: timers.clock, timers, store, registry, sources: new Map([['consul', consul], ['dns', dns]]), onStoreError: (error) => { throw error; } });
  keeper.start();
  return {
    timers, store, registry, keeper, consul, dns,
    follow(...documents) {
      keeper.follow(new Map(documents.map((one) => [one.name, one])));
      registry.setStatic(new Map(documents.flatMap((one) => { const set = staticEndpointsOf(one); return set ? [[one.name, set] as const] : []; })));
    },
    sees: (name) => registry.endpoints(name)?.endpoints.map(({ ports, suspect }) => `${ports[0]?.host ?? ''}${suspect ? '?' : ''}`).join(' ') ?? null,
  };
}

const grace = 31_000;

describe('what sources find reaches callers', () => {
  test('with everything that is known of it', () => {
    const { follow, consul, registry, keeper, timers } = world();
    follow(service('payments', { ...byConsul, ports: { http: { port: 8080, protocol: 'grpc' } } }));
    consul.to('payments').answered(found('10.0.0.1'), ['x cannot be a label']);
    expect(registry.endpoints('payments')).toEqual({ service: 'payments', endpoints: [{
      id: 'consul/10.0.0.1', ports: [{ name: 'http', host: '10.0.0.1', port: 8080, protocols: ['h2c'] }], labels: [{ key: 'v', value: '2' }], locality: 'eu', weight: 3, backup: false,
      suspect: false, draining: false, protocols: ['http/1.1'], mtls: false, source: 'consul',
    }] });
    expect(keeper.reports('payments')).toEqual([{
      service: 'payments', source: 'consul', asked: 'payments', state: 'current', answeredAtMs: timers.clock.wallMs(), failingSinceMs: null, error: '', problems: ['x cannot be a label'], instances: 1, suspect: 0,
    }]);
    expect([...keeper.ages('payments')]).toEqual([['consul/10.0.0.1', { sinceMs: timers.clock.wallMs(), namedMs: timers.clock.wallMs() }]]);
  });

  test('a source that has not answered holds back what it feeds, and nothing else', async () => {
    const { follow, consul, sees, timers } = world();
    follow(service('silent', byConsul), service('answered', byConsul), service('fixed', { endpoints: [{ address: '10.9.9.9' }] }));
    consul.to('answered').answered(found('10.0.0.1'), []);
    expect([sees('silent'), sees('answered'), sees('fixed')]).toEqual([null, '10.0.0.1', '10.9.9.9']);
    await timers.advance(grace);
    expect([sees('silent'), sees('answered')]).toEqual([null, '10.0.0.1']);
    consul.to('silent').answered([], []);
    expect(sees('silent')).toBe('');
  });

  test('failures change nothing, however long; they are named, with their time', async () => {
    const { follow, consul, sees, timers, keeper } = world();
    follow(service('payments', byConsul));
    consul.to('payments').answered(found('10.0.0.1', '10.0.0.2'), []);
    const answeredAtMs = timers.clock.wallMs();
    await timers.advance(1_000);
    consul.to('payments').failed('Consul at http://x: hung');
    const failingSinceMs = timers.clock.wallMs();
    await timers.advance(86_400_000);
    consul.to('payments').failed('Consul at http://x: still hung');
    expect(sees('payments')).toBe('10.0.0.1 10.0.0.2');
    expect(keeper.reports()).toMatchObject([{ state: 'failing', error: 'Consul at http://x: still hung', answeredAtMs, failingSinceMs }]);
    expect(keeper.counts.get('consul')).toEqual({ answers: 1, failures: 2 });
  });

  test('a source that empties makes suspects, which go after ten minutes', async () => {
    const { follow, consul, sees, timers } = world();
    follow(service('payments', byConsul));
    consul.to('payments').answered(found('10.0.0.1', '10.0.0.2'), []);
    consul.to('payments').answered([], []);
    expect(sees('payments')).toBe('10.0.0.1? 10.0.0.2?');
    await timers.advance(601_000);
    expect(sees('payments')).toBe('');
  });

  test('what cannot be called is left out and named: a source may lie', () => {
    const { follow, consul, sees, keeper } = world();
    follow(service('payments', byConsul));
    const [one] = found('10.0.0.1');
    if (!one) throw new Error('no instance');
    const wrong = ['0.0.0.0', '224.0.0.1', '255.255.255.255', '::', 'ff02::1', '10.0.0', 'a b', ''].map((host, i) => ({ ...one, id: `host-${i}`, ports: [{ name: 'http', host, port: 80 }] }));
    consul.to('payments').answered([one, one, ...wrong, { ...one, id: 'port', ports: [{ name: 'http', host: '10.0.0.1', port: 0 }] }, { ...one, id: 'none', ports: [] }, { ...one, id: 'weight', weight: -1 }, { ...one, id: '' }], []);
    expect(sees('payments')).toBe('10.0.0.1');
    expect(keeper.reports()[0]?.problems).toHaveLength(13);
  });

  test('beyond 10,000 instances the first are used and it is said', () => {
    const { follow, consul, registry, keeper } = world();
    follow(service('payments', byConsul));
    consul.to('payments').answered(found(...Array.from({ length: 10_001 }, (_, i) => `10.1.${Math.floor(i / 250)}.${i % 250 + 1}`)), []);
    expect(registry.endpoints('payments')?.endpoints).toHaveLength(10_000);
    expect(keeper.reports()[0]?.problems).toEqual(['the answer has 10001 instances; 10000 are used']);
  });
});

describe('documents change', () => {
  test('whoever asks the same goes on being followed; another question is another feed; without one it ends', () => {
    const { follow, consul, sees } = world();
    follow(service('payments', byConsul));
    consul.to('payments').answered(found('10.0.0.1'), []);
    follow(service('payments', { ...byConsul, labels: { a: 'b' } }));
    expect(consul.followed).toHaveLength(1);
    expect(sees('payments')).toBe('10.0.0.1');
    follow(service('payments', { discovery: { source: 'consul', consul: { service: 'pay' } } }));
    expect(consul.followed.map(({ closed }) => closed)).toEqual([true, false]);
    consul.followed[0]?.observer.answered(found('10.6.6.6'), []);
    expect(sees('payments')).toBeNull();
    follow(service('payments'));
    expect(consul.followed.map(({ closed }) => closed)).toEqual([true, true]);
  });

  test('a source that this control plane is not set up for is said, and refused where it is written', () => {
    const { follow, keeper } = world();
    const document = service('payments', { discovery: { source: 'kubernetes' } });
    follow(document);
    expect(keeper.reports()).toMatchObject([{ state: 'missing', error: "this control plane is not set up for kubernetes: --kubernetes-api, or a pod's own account" }]);
    const change = { key: 'Service/payments' as const, ownerBefore: '', ownerAfter: '', before: null, after: { kind: 'Service', name: 'payments', ports: { http: { port: 80 } }, discovery: { source: 'kubernetes' } } };
    expect(discoveryViolations([change], new Set(['dns']))).toMatchObject([{ document: 'Service/payments', pointer: '/discovery/source', code: 'not-enforceable' }]);
    expect([discoveryViolations([change], new Set(['kubernetes'])), discoveryViolations([change], undefined)]).toEqual([[], []]);
  });
});

test('nobody is asked before the work is ours, and nobody after it is not; what is known holds', () => {
  const { follow, consul, keeper, sees } = world();
  keeper.stop();
  follow(service('payments', byConsul));
  expect(consul.followed).toEqual([]);
  keeper.start();
  consul.to('payments').answered(found('10.0.0.1'), []);
  keeper.stop();
  expect(consul.followed.map(({ closed }) => closed)).toEqual([true]);
  expect(sees('payments')).toBe('10.0.0.1');
});

describe('after a restart', () => {
  test('the last answers are there, and a first answer that is half empty is doubted', async () => {
    const first = world();
    first.follow(service('payments', byConsul), service('gone', byConsul));
    first.consul.to('payments').answered(found('10.0.0.1', '10.0.0.2', '10.0.0.3'), []);
    first.consul.to('gone').answered(found('10.0.0.9'), []);
    first.keeper.close();
    first.registry.close();
    const second = world(first);
    second.follow(service('payments', byConsul));
    expect(second.sees('payments')).toBe('10.0.0.1 10.0.0.2 10.0.0.3');
    expect(second.keeper.reports()).toMatchObject([{ state: 'waiting', instances: 3 }]);
    second.consul.to('payments').answered(found('10.0.0.3'), []);
    expect(second.sees('payments')).toBe('10.0.0.1? 10.0.0.2? 10.0.0.3');
    await second.timers.advance(2_000);
    expect([...second.store.records('discovered').keys()].map((key) => key.split('/')[0])).toEqual(['payments']);
  });

  test('what was doubted is doubted, and what had gone counts: a source that loses an instance with each restart does not get around the guard', () => {
    let now = world();
    now.follow(service('payments', byConsul));
    now.consul.to('payments').answered(found('10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'), []);
    const said = [found('10.0.0.2', '10.0.0.3', '10.0.0.4'), found('10.0.0.3', '10.0.0.4'), found('10.0.0.4'), found()];
    const seen = said.map((answer) => {
      now.keeper.close();
      now.registry.close();
      now = world(now);
      now.follow(service('payments', byConsul));
      now.consul.to('payments').answered(answer, []);
      return now.sees('payments');
    });
    expect(seen).toEqual(['10.0.0.2 10.0.0.3 10.0.0.4', '10.0.0.3 10.0.0.4', '10.0.0.3? 10.0.0.4', '10.0.0.3? 10.0.0.4?']);
  });

  test('what an earlier process kept for another question is not used', () => {
    const first = world();
    first.follow(service('payments', byConsul));
    first.consul.to('payments').answered(found('10.0.0.1'), []);
    first.keeper.close();
    const second = world(first);
    second.follow(service('payments', { discovery: { source: 'consul', consul: { service: 'other' } } }));
    expect(second.sees('payments')).toBeNull();
  });
});

describe('several sources of one service', () => {
  const lease = (nodeId: string, host: string, port = 15_006): InstanceLease => ({
    nodeId, incarnation: 1, service: 'payments', ports: [{ name: 'http', host, port }], labels: {}, locality: '', protocols: ['http/1.1'], mtls: true, ready: true,
  });

  test('an instance that announced itself is not shown beside itself, neither before it is ready nor after its end', async () => {
    const { follow, consul, registry, timers, sees } = world();
    follow(service('payments', byConsul));
    consul.to('payments').answered(found('10.0.0.1', '10.0.0.2'), []);
    registry.renew({ ...lease('pod-1', '10.0.0.1'), ready: false });
    expect(sees('payments')).toBe('10.0.0.2');
    registry.renew(lease('pod-1', '10.0.0.1'));
    expect(registry.endpoints('payments')?.endpoints.map(({ id, mtls }) => [id, mtls])).toEqual([['consul/10.0.0.2', false], ['pod-1', true]]);
    await timers.advance(grace);
    registry.drain('pod-1');
    registry.detach('pod-1');
    expect(sees('payments')).toBe('10.0.0.2');
    await timers.advance(602_000);
    expect(sees('payments')).toBe('10.0.0.1 10.0.0.2');
  });

  test('on loopback, where everybody is, only the same port is the same instance', () => {
    const { follow, consul, registry, sees } = world();
    follow(service('payments', byConsul));
    consul.to('payments').answered(found('127.0.0.1'), []);
    registry.renew(lease('a', '127.0.0.1', 15_006));
    expect(sees('payments')).toBe('127.0.0.1 127.0.0.1');
    registry.renew(lease('a', '127.0.0.1', 8_080));
    expect(sees('payments')).toBe('127.0.0.1');
  });

  test('host names of static endpoints: the name until it is known, then its addresses; a failure keeps them', () => {
    const { follow, dns, registry, keeper, sees } = world();
    follow(service('legacy', { endpoints: [{ address: 'DB.internal', weight: 7 }, { address: '10.0.0.9' }] }));
    expect(sees('legacy')).toBe('10.0.0.9 DB.internal');
    expect(dns.followed[0]?.target.discovery.dns).toEqual({ name: 'db.internal' });
    dns.to('legacy').answered(found('10.0.0.1', '10.0.0.2'), []);
    expect(registry.endpoints('legacy')?.endpoints.map(({ id, weight }) => [id, weight])).toEqual([['static/10.0.0.9:8080', 1], ['static/DB.internal:8080/10.0.0.1', 7], ['static/DB.internal:8080/10.0.0.2', 7]]);
    dns.to('legacy').failed('DNS, db.internal: there is no such name (NXDOMAIN)');
    expect(sees('legacy')).toBe('10.0.0.9 10.0.0.1 10.0.0.2');
    expect(keeper.reports('legacy')).toMatchObject([{ source: 'static', asked: 'db.internal', state: 'failing' }]);
  });

  test('names that TLS asks for are left to the callers', () => {
    const { follow, dns } = world();
    follow(service('a', { endpoints: [{ address: 'api.example.com' }], ports: { http: { port: 443, tls: {} } } }), service('b', { endpoints: [{ address: 'api.example.com' }], ports: { http: { port: 443, tls: { serverName: 'api.example.com' } } } }));
    expect(dns.followed.map(({ target }) => target.service)).toEqual(['b']);
  });
});
