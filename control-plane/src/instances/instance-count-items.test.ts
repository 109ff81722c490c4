import type { SubjectKey } from '@remora/core/subject';
import { decodeInstanceCount } from '@remora/policy-kit/instance-share';
import { ManualClock } from '@remora/testing/manual-clock';
import { ManualTimers } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import type { Planned } from '../compile/planner.ts';
import type { PushEvent, SidecarStatus } from '../push/push-hub.ts';
import type { InstanceRegistry } from './instance-registry.ts';
import { InstanceCountItems } from './instance-count-items.ts';

type Endpoints = NonNullable<ReturnType<InstanceRegistry['endpoints']>>['endpoints'];

function start(remembered: readonly Pick<SidecarStatus, 'subject' | 'nodeId' | 'lastSeen'>[] = []) {
  const clock = new ManualClock();
  const timers = new ManualTimers(clock);
  let endpoints: Partial<Endpoints[number]>[] = [];
  let moved: (services: ReadonlySet<string>) => void = () => {};
  let event: (event: PushEvent) => void = () => {};
  const items = new InstanceCountItems({
    clock, timers,
    registry: {
      endpoints: (service) => ({ service, endpoints: endpoints as Endpoints }),
      onChange: (listener) => {
        moved = listener;
        return () => {};
      },
    },
  });
  const told: (readonly SubjectKey[] | 'all')[] = [];
  items.onChange((subjects) => told.push(subjects));
  items.watch({
    sidecars: () => remembered as readonly SidecarStatus[],
    onEvent: (listener) => {
      event = listener;
      return () => {};
    },
  });
  const needs = { instances: true, store: false, consumers: null, secrets: [] };
  items.follow({ compilation: { subjects: new Map([['service/orders', { needs }], ['gateway/edge', { needs }]]) }, changed: new Set() } as unknown as Planned);
  return {
    clock, timers, items, told,
    count: (subject: SubjectKey) => decodeInstanceCount(items.itemsFor(subject)?.[0]?.body),
    live: (next: Partial<Endpoints[number]>[]): void => {
      endpoints = next;
      moved(new Set(['orders']));
    },
    gateway: (type: 'sidecar-connected' | 'sidecar-disconnected', nodeId: string) => event({ type, nodeId, subject: 'gateway/edge', at: '', version: { epoch: 1, index: 1 }, detail: '' }),
  };
}

describe('how many instances are live', () => {
  test('of a service: those with a lease that do not leave; nobody is no number', () => {
    const { count, live, told } = start();
    expect(count('service/orders')).toBeNull();
    live([{ source: 'lease' }, { source: 'lease' }, { source: 'lease', draining: true }, { source: 'static' }]);
    expect(count('service/orders')).toBe(2);
    live([{ source: 'lease' }]);
    expect(count('service/orders')).toBe(1);
    expect(told).toContainEqual(['service/orders']);
  });

  test('of a gateway: connected sidecars, for a while those that left, and after a start those that were there lately', async () => {
    const wall = new ManualClock().wallMs();
    const { count, gateway, timers } = start([
      { subject: 'gateway/edge', nodeId: 'a', lastSeen: new Date(wall - 5_000).toISOString() },
      { subject: 'gateway/edge', nodeId: 'b', lastSeen: new Date(wall - 5_000).toISOString() },
      { subject: 'gateway/edge', nodeId: 'old', lastSeen: new Date(wall - 86_400_000).toISOString() },
    ]);
    expect(count('gateway/edge')).toBe(2);
    gateway('sidecar-connected', 'a');
    gateway('sidecar-connected', 'c');
    expect(count('gateway/edge')).toBe(3);
    await timers.advance(31_000);
    expect(count('gateway/edge')).toBe(2);
    gateway('sidecar-disconnected', 'c');
    expect(count('gateway/edge')).toBe(2);
    await timers.advance(11_000);
    expect(count('gateway/edge')).toBe(1);
  });

  test('who does not need the number gets none', () => {
    expect(start().items.itemsFor('service/other')).toEqual([]);
  });
});
