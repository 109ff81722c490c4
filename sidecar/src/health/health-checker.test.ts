import { seededRandom } from '@remora/core/random';
import { hostHealth } from '@remora/policy-kit/host-states';
import type { HealthCheckSettings } from '@remora/policy-health-check/wire';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { ManualTimers } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import { HostSlots } from '../upstream/host-slots.ts';
import { HealthChecker } from './health-checker.ts';
import type { ProbeAnswer, ProbeQuestion } from './health-probe.ts';
import { HealthRecord } from './health-record.ts';

const settings: HealthCheckSettings = {
  intervalMs: 1_000, jitter: 0, timeoutMs: 100, unhealthyThreshold: 3, healthyThreshold: 2, protocol: '', port: '',
  http: { path: '/', host: '', method: 'GET', statuses: [{ from: 200, to: 299 }], bodyContains: '', headers: [] }, grpcService: '',
};

interface Endpoint { readonly id: string; readonly ports: Readonly<Record<string, number>> }

/** A sidecar that calls payments, whose hosts answer checks as the test says. */
class Scene {
  readonly time = new ManualTimers();
  readonly hosts = new HostSlots(this.time.clock);
  readonly record = new HealthRecord(this.time.clock);
  readonly asked: string[] = [];
  /** By address: what is wrong with it. */
  readonly problems = new Map<string, string>();
  /** Answers wait for the test where it is there. */
  held: PromiseWithResolvers<void> | null = null;
  readonly checker = new HealthChecker({
    hosts: this.hosts, record: this.record, clock: this.time.clock, timers: this.time, random: seededRandom(3), probe: { ask: (question) => this.#answer(question) },
  });

  async #answer({ host, protocol }: ProbeQuestion): Promise<ProbeAnswer> {
    this.asked.push(`${protocol} ${host.address}`);
    await this.held?.promise;
    return { problem: this.problems.get(host.address) ?? '' };
  }

  checks(change: Partial<HealthCheckSettings> | null = {}, { shadow = false, protocol = 'http' } = {}): void {
    const sections = change === null ? [] : [{ kind: 'healthCheck', settings: { ...settings, ...change }, shadow, origins: [{ policy: 'baseline', pointer: '' }] }];
    const ports = ['http', 'admin'].map((name) => ({ name, port: 80, protocol, tls: null, proxyProtocol: 0 }));
    this.checker.follow({ destinations: new Map([['payments', { service: 'payments', ports, settings: { hash: '', sections } }]]) } as unknown as Snapshot);
  }

  has(...endpoints: readonly Endpoint[]): void {
    const encoded = endpoints.map(({ id, ports }) => ({ id, ports: Object.entries(ports).map(([name, port]) => ({ name, host: '10.0.0.1', port, protocols: [] })), weight: 1, source: 'static' }));
    this.hosts.grant({ sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'payments', endpoints: encoded })).finish()], removed: [] });
  }

  health(port: number): number {
    return this.hosts.states.health(this.hosts.of('payments').find(({ at }) => at.port === port)?.slot ?? -1);
  }

  get events(): string[] {
    return this.record.newest(20).toReversed().map(({ kind, event, host, detail }) => `${kind} ${event} ${host} ${detail}`);
  }
}

const one: Endpoint = { id: 'p1', ports: { http: 1 } };
const two: Endpoint = { id: 'p2', ports: { http: 2 } };

describe('health checks', () => {
  test('a host that fails often enough is unhealthy, and healthy again when it answers; both are told of', async () => {
    const scene = new Scene();
    scene.has(one, two);
    scene.checks();
    await scene.time.advance(600);
    expect([scene.health(1), scene.health(2)]).toEqual([hostHealth.healthy, hostHealth.healthy]);
    scene.problems.set('10.0.0.1:2', '503');
    await scene.time.advance(2_000);
    expect(scene.health(2)).toBe(hostHealth.healthy);
    await scene.time.advance(1_000);
    expect([scene.health(1), scene.health(2), scene.checker.counts]).toEqual([hostHealth.healthy, hostHealth.unhealthy, { checked: 2, unhealthy: 1 }]);
    scene.problems.clear();
    await scene.time.advance(2_000);
    expect(scene.health(2)).toBe(hostHealth.healthy);
    expect(scene.events).toEqual(['healthCheck unhealthy 10.0.0.1:2 3 checks in a row failed: 503', 'healthCheck healthy 10.0.0.1:2 2 checks in a row were good']);
    expect(scene.record.newest(2).map(({ policy, pointer }) => policy + pointer)).toEqual(['baseline/healthyThreshold', 'baseline/unhealthyThreshold']);
  });

  test('who is well again is not ejected any more', async () => {
    const scene = new Scene();
    scene.has(one);
    scene.checks();
    scene.problems.set('10.0.0.1:1', 'nobody listens');
    await scene.time.advance(3_600);
    const slot = scene.hosts.of('payments')[0]?.slot ?? -1;
    scene.hosts.states.setEjectedUntil(slot, scene.time.clock.monotonicMs() + 3_600_000);
    scene.problems.clear();
    await scene.time.advance(2_000);
    expect(scene.hosts.states.usable(slot, scene.time.clock.monotonicMs())).toBe(true);
    expect(scene.events.slice(-2)).toEqual(['outlierDetection returned 10.0.0.1:1 checks find it well again', 'healthCheck healthy 10.0.0.1:1 2 checks in a row were good']);
  });

  test('in shadow it is told who would be unhealthy, and nothing else happens', async () => {
    const scene = new Scene();
    scene.has(one);
    scene.checks({}, { shadow: true });
    scene.problems.set('10.0.0.1:1', '500');
    await scene.time.advance(5_000);
    expect([scene.health(1), scene.record.current(), scene.events]).toEqual([hostHealth.unchecked, [], ['healthCheck would-be-unhealthy 10.0.0.1:1 3 checks in a row failed: 500']]);
    scene.checks();
    await scene.time.advance(1_000);
    expect(scene.health(1)).toBe(hostHealth.unhealthy);
  });

  test('an answer that comes after an edit is judged by what was edited', async () => {
    const scene = new Scene();
    scene.has(one);
    scene.checks({ unhealthyThreshold: 1 });
    scene.problems.set('10.0.0.1:1', '500');
    scene.held = Promise.withResolvers();
    await scene.time.advance(600);
    expect(scene.asked).toHaveLength(1);
    scene.checks({ unhealthyThreshold: 1 }, { shadow: true });
    scene.held.resolve();
    await scene.time.advance(1);
    expect([scene.health(1), scene.events]).toEqual([hostHealth.unchecked, ['healthCheck would-be-unhealthy 10.0.0.1:1 1 checks in a row failed: 500']]);
  });

  test('hosts that come are asked, hosts that go are not; without the policy nothing is known', async () => {
    const scene = new Scene();
    scene.has(one);
    scene.checks();
    scene.problems.set('10.0.0.1:1', '500');
    await scene.time.advance(4_000);
    scene.has(one, two);
    await scene.time.advance(600);
    expect([scene.health(1), scene.health(2)]).toEqual([hostHealth.unhealthy, hostHealth.healthy]);
    scene.has(two);
    scene.asked.length = 0;
    await scene.time.advance(3_000);
    expect(new Set(scene.asked)).toEqual(new Set(['http 10.0.0.1:2']));
    scene.problems.set('10.0.0.1:2', '500');
    await scene.time.advance(4_000);
    scene.checks(null);
    expect([scene.health(2), scene.record.current()]).toEqual([hostHealth.unchecked, []]);
    scene.asked.length = 0;
    await scene.time.advance(5_000);
    expect(scene.asked).toEqual([]);
  });

  test.each([
    ['http', {}, 'http 10.0.0.1:1'], ['grpc', {}, 'grpc 10.0.0.1:1'], ['tcp', {}, 'tcp 10.0.0.1:1'], ['http2', {}, 'http 10.0.0.1:1'], ['http', { protocol: 'tcp' } as const, 'tcp 10.0.0.1:1'],
    ['http', { port: 'admin' }, 'http 10.0.0.1:9'],
  ])('a port that speaks %s with %j is asked by %s', async (protocol, change, expected) => {
    const scene = new Scene();
    scene.has({ id: 'p1', ports: { http: 1, admin: 9 } });
    scene.checks(change, { protocol });
    await scene.time.advance(600);
    expect(scene.asked).toContain(expected);
  });

  test('a host without the port that is to be asked is unhealthy, with the reason', async () => {
    const scene = new Scene();
    scene.has(one);
    scene.checks({ port: 'admin' });
    await scene.time.advance(4_000);
    expect(scene.events).toEqual(['healthCheck unhealthy 10.0.0.1:1 3 checks in a row failed: it has no port admin']);
  });

  test('so many are asked at once, and the others in their turn', async () => {
    const scene = new Scene();
    scene.held = Promise.withResolvers();
    scene.has(...Array.from({ length: 300 }, (_, i) => ({ id: `p${i}`, ports: { http: 1_000 + i } })));
    scene.checks();
    await scene.time.advance(600);
    expect(scene.asked).toHaveLength(128);
    scene.held.resolve();
    scene.held = null;
    await scene.time.advance(100);
    expect(new Set(scene.asked).size).toBe(300);
  });
});
