import type { JsonObject } from '@remora/core/canonical-json';
import type { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { describe, expect, test } from 'vitest';
import { ManualTime } from '../push/testdata/manual-time.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { createInstanceRegistry } from './create-instance-registry.ts';
import type { InstanceLease } from './instance-registry.ts';

function fixture(time = new ManualTime(), store = createMemoryStore({ clock: time, epoch: 1 })) {
  const registry = createInstanceRegistry({ clock: time, timers: time, store });
  const notices: string[][] = [];
  registry.onChange((services) => notices.push([...services]));
  return { time, store, registry, notices };
}

function lease(nodeId: string, change: Partial<InstanceLease> = {}): InstanceLease {
  return {
    nodeId, incarnation: 1, service: 'orders', ports: [{ name: 'http', host: '10.0.0.1', port: 80 }], labels: { version: 'v1' }, locality: '', protocols: ['http/1.1'], mtls: false, ready: true,
    ...change,
  };
}

/** Ids; `~` draining, `?` suspect. */
function shown(set: EndpointSet | null): string[] | null {
  return set && set.endpoints.map(({ id, draining, suspect }) => `${id}${draining ? '~' : ''}${suspect ? '?' : ''}`);
}

function fixed(service: string, ...addresses: string[]): [string, EndpointSet] {
  return [service, { service, endpoints: addresses.map((address) => ({ id: `static/${address}:80`, ports: [], labels: [], locality: '', weight: 5, backup: true, suspect: false, draining: false, protocols: [], mtls: false, source: 'static' })) }];
}

describe('a lease', () => {
  test('goes on while its stream is open, and for 10 s after', () => {
    const { time, registry } = fixture();
    registry.renew(lease('a'));
    registry.renew(lease('b'));
    registry.renew(lease('c'));
    time.advance(600_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['a', 'b', 'c']);
    registry.detach('a');
    time.advance(9_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['a', 'b', 'c']);
    time.advance(2_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['b', 'c']);
  });

  test('that is renewed in time goes on', () => {
    const { time, registry, notices } = fixture();
    registry.renew(lease('a'));
    time.advance(40_000);
    registry.detach('a');
    time.advance(9_000);
    registry.renew(lease('a'));
    time.advance(60_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['a']);
    expect(notices).toHaveLength(1);
  });

  test('does not end within 30 s of the start, nor because the process stood still', () => {
    const { time, registry } = fixture();
    registry.renew(lease('a'));
    registry.renew(lease('b'));
    registry.renew(lease('c'));
    registry.detach('a');
    time.advance(29_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['a', 'b', 'c']);
    time.advance(3_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['b', 'c']);
    registry.detach('b');
    time.stall(300_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['b', 'c']);
  });

  test('is there again after a restart, with its draining mark, until the grace is over', () => {
    const { time, store, registry } = fixture();
    for (const nodeId of ['a', 'b', 'c', 'd', 'e']) registry.renew(lease(nodeId));
    registry.drain('b');
    registry.close();
    const next = fixture(time, store);
    expect(next.registry.version().fence).toBeGreaterThan(registry.version().fence);
    expect(shown(next.registry.endpoints('orders'))).toEqual(['a', 'b~', 'c', 'd', 'e']);
    for (const nodeId of ['a', 'c', 'd', 'e']) next.registry.renew(lease(nodeId));
    time.advance(32_000);
    expect(shown(next.registry.endpoints('orders'))).toEqual(['a', 'c', 'd', 'e']);
  });

  test('ends at once for an instance that said it leaves, and for one that was never ready', () => {
    const { registry } = fixture();
    registry.renew(lease('a'));
    registry.renew(lease('b'));
    registry.renew(lease('c', { ready: false }));
    registry.drain('a');
    expect(shown(registry.endpoints('orders'))).toEqual(['a~', 'b']);
    registry.detach('a');
    registry.detach('c');
    expect(shown(registry.endpoints('orders'))).toEqual(['b']);
    expect(registry.counts().leases).toBe(1);
  });

  test('keeps its draining mark until a new incarnation', () => {
    const { registry } = fixture();
    registry.renew(lease('a'));
    registry.drain('a');
    registry.renew(lease('a', { ready: true }));
    expect(shown(registry.endpoints('orders'))).toEqual(['a~']);
    registry.renew(lease('a', { incarnation: 2 }));
    expect(shown(registry.endpoints('orders'))).toEqual(['a']);
  });

  test('moves with its node to another service', () => {
    const { registry, time, notices } = fixture();
    registry.renew(lease('a'));
    registry.renew(lease('a', { service: 'payments' }));
    time.advance(200);
    expect([shown(registry.endpoints('orders')), shown(registry.endpoints('payments'))]).toEqual([[], ['a']]);
    expect(notices.flat().sort()).toEqual(['orders', 'payments']);
  });

  test.each([{ nodeId: 5 }, {}, { nodeId: 'x', service: 'orders', ports: 'no', labels: {} }])('in an unknown shape in the store is left out: %j', (record) => {
    const time = new ManualTime();
    const store = createMemoryStore({ clock: time, epoch: 1 });
    store.putRecords('instances', new Map([['x', record as unknown as JsonObject]]));
    expect(fixture(time, store).registry.counts().leases).toBe(0);
  });
});

describe('losing most instances at once', () => {
  function lost(total: number, detached: number) {
    const all = fixture();
    for (let i = 0; i < total; i++) all.registry.renew(lease(`n${i}`));
    all.time.advance(60_000);
    for (let i = 0; i < detached; i++) all.registry.detach(`n${i}`);
    all.time.advance(12_000);
    return all;
  }

  test.each([
    { total: 2, detached: 1, left: ['n1'] },
    { total: 4, detached: 2, left: ['n2', 'n3'] },
    { total: 4, detached: 3, left: ['n0?', 'n1?', 'n2?', 'n3'] },
    { total: 2, detached: 2, left: ['n0?', 'n1?'] },
    { total: 1, detached: 1, left: ['n0?'] },
  ])('$detached of $total → $left', ({ total, detached, left }) => {
    expect(shown(lost(total, detached).registry.endpoints('orders'))).toEqual(left);
  });

  test('counts what went within half a minute together', () => {
    const { time, registry } = lost(5, 2);
    expect(shown(registry.endpoints('orders'))).toEqual(['n2', 'n3', 'n4']);
    registry.detach('n2');
    time.advance(12_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['n2?', 'n3', 'n4']);
  });

  test('is undone when they come back; otherwise they go after ten minutes', () => {
    const { time, registry } = lost(3, 2);
    registry.renew(lease('n0'));
    expect(shown(registry.endpoints('orders'))).toEqual(['n0', 'n1?', 'n2']);
    time.advance(590_000);
    expect(registry.counts().suspect).toBe(1);
    time.advance(15_000);
    expect(shown(registry.endpoints('orders'))).toEqual(['n0', 'n2']);
  });
});

describe('static endpoints', () => {
  test('stand beside leases, and survive everything but their document', () => {
    const { registry, time } = fixture();
    registry.setStatic(new Map([fixed('orders', '10.0.0.5', '10.0.0.6')]));
    registry.renew(lease('a'));
    expect(shown(registry.endpoints('orders'))).toEqual(['a', 'static/10.0.0.5:80', 'static/10.0.0.6:80']);
    time.advance(3_600_000);
    registry.setStatic(new Map());
    expect(shown(registry.endpoints('orders'))).toEqual(['a']);
  });

  test('tell once what changed', () => {
    const { registry, notices, time } = fixture();
    registry.setStatic(new Map([fixed('orders', '10.0.0.5'), fixed('legacy', '10.0.0.6')]));
    expect([...registry.takeStaticChanges()]).toEqual(['orders', 'legacy']);
    expect([...registry.takeStaticChanges()]).toEqual([]);
    registry.setStatic(new Map([fixed('orders', '10.0.0.5'), fixed('legacy', '10.0.0.7')]));
    expect([...registry.takeStaticChanges()]).toEqual(['legacy']);
    time.advance(200);
    expect(notices.flat()).toEqual(['orders', 'legacy']);
  });
});

describe('notices', () => {
  test('come at once for the first change, and together for what follows within 100 ms', () => {
    const { registry, notices, time } = fixture();
    registry.renew(lease('a'));
    time.advance(0);
    expect(notices).toEqual([['orders']]);
    registry.renew(lease('b'));
    registry.renew(lease('c', { service: 'payments' }));
    time.advance(99);
    expect(notices).toHaveLength(1);
    time.advance(1);
    expect(notices[1]).toEqual(['orders', 'payments']);
  });

  test('stop with the registry', () => {
    const { registry, notices, time } = fixture();
    registry.renew(lease('a'));
    registry.close();
    time.advance(1_000);
    expect(notices).toEqual([]);
    expect(time.waiting).toBe(0);
  });
});

test('names such as __proto__ are ordinary', () => {
  const { registry } = fixture();
  registry.renew(lease('__proto__', { service: 'constructor', labels: { ['__proto__']: 'x' } }));
  expect(shown(registry.endpoints('constructor'))).toEqual(['__proto__']);
  expect(registry.endpoints('constructor')?.endpoints[0]?.labels).toEqual([{ key: '__proto__', value: 'x' }]);
});
