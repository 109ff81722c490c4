import { seededRandom } from '@remora/core/random';
import type { HealthCheckSettings } from '@remora/policy-health-check/wire';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { ManualTimers } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import { AppChecks } from './app-checks.ts';
import type { ProbeAnswer, ProbeQuestion } from './health-probe.ts';
import { HealthRecord } from './health-record.ts';

const settings: HealthCheckSettings = {
  intervalMs: 1_000, jitter: 0.1, timeoutMs: 500, unhealthyThreshold: 3, healthyThreshold: 2, protocol: '', port: '', grpcService: '',
  http: { path: '/healthz', host: '', method: 'GET', statuses: [{ from: 200, to: 299 }], bodyContains: '', headers: [] },
};

interface Change {
  readonly settings?: Partial<HealthCheckSettings> | null;
  readonly shadow?: boolean;
  readonly protocol?: string;
  readonly proxyProtocol?: number;
}

/** An app at 127.0.0.1:8080 that answers as the test says, and what its sidecar thinks of it. */
class Scene {
  readonly time = new ManualTimers();
  readonly record = new HealthRecord(this.time.clock);
  readonly asked: ProbeQuestion[] = [];
  problem = '';
  was = true;
  changes = 0;
  readonly checks: AppChecks;
  #hash = 0;

  constructor(apps: Record<string, number> = { '': 8080 }) {
    this.checks = new AppChecks({
      apps: new Map(Object.entries(apps).map(([name, port]) => [name, { host: '127.0.0.1', port }])), record: this.record, timers: this.time, random: seededRandom(7),
      probe: { ask: (question) => this.#answer(question) }, wasReady: () => this.was, onChange: () => this.changes++,
    });
  }

  #answer(question: ProbeQuestion): Promise<ProbeAnswer> {
    this.asked.push(question);
    return Promise.resolve({ problem: this.problem });
  }

  /** Another snapshot; `same`: its inbound port has not changed. */
  async follow(change: Change = {}, same = false): Promise<this> {
    if (!same) this.#hash++;
    const sections = change.settings === null ? [] : [{ kind: 'healthCheck', settings: { ...settings, ...change.settings }, shadow: change.shadow ?? false, origins: [{ policy: 'asked', pointer: '' }] }];
    const inbound = { name: 'http', port: 80, protocol: change.protocol ?? 'http', proxyProtocol: change.proxyProtocol ?? 0, hash: String(this.#hash), appChecks: { hash: '', sections } };
    this.checks.follow({ subject: { kind: 'service', name: 'orders' }, inbounds: new Map([['http', inbound]]) } as unknown as Snapshot);
    await this.time.advance(0);
    return this;
  }

  get events(): string[] {
    return this.record.newest(20).toReversed().map(({ kind, event, service, host, policy, detail }) => `${kind} ${event} ${service} ${host} ${policy} ${detail}`);
  }
}

describe('an app that its sidecar asks', () => {
  test('without a policy nobody is asked, and it is well', async () => {
    const scene = await new Scene().follow({ settings: null });
    await scene.time.advance(60_000);
    expect([scene.checks.well, scene.checks.problem, scene.asked.length]).toEqual([true, '', 0]);
  });

  test('is ill after so many failures in a row, and well after so many good answers; both are told', async () => {
    const scene = await new Scene().follow();
    scene.problem = '503';
    await scene.time.advance(2_300);
    expect(scene.checks.well).toBe(true);
    await scene.time.advance(1_100);
    expect(scene.checks.well).toBe(false);
    expect(scene.checks.problem).toBe('3 checks in a row of 127.0.0.1:8080 failed (GET /healthz): 503');
    scene.problem = '';
    await scene.time.advance(1_100);
    expect(scene.checks.well).toBe(false);
    await scene.time.advance(1_100);
    expect([scene.checks.well, scene.checks.problem]).toEqual([true, '']);
    expect(scene.events).toEqual([
      'healthCheck unhealthy orders 127.0.0.1:8080 asked the app, by its own sidecar: 3 checks in a row failed: 503',
      'healthCheck healthy orders 127.0.0.1:8080 asked the app, by its own sidecar: 2 checks in a row were good',
    ]);
  });

  test('that was not ready before is not until its first good answer', async () => {
    const scene = new Scene();
    scene.was = false;
    scene.problem = 'nobody listens';
    await scene.follow();
    expect([scene.checks.well, scene.checks.problem]).toEqual([false, '1 check of 127.0.0.1:8080 failed (GET /healthz): nobody listens']);
    scene.problem = '';
    await scene.time.advance(1_100);
    expect(scene.checks.well).toBe(true);
    expect(scene.events).toEqual([]);
  });

  test('in shadow it is told of, and counts as well', async () => {
    const scene = await new Scene().follow({ shadow: true });
    scene.problem = '503';
    await scene.time.advance(5_000);
    expect([scene.checks.well, scene.events[0]?.split(' ')[1]]).toEqual([true, 'would-be-unhealthy']);
  });

  test('a snapshot that changes nothing keeps what is known; other settings ask anew, and take nobody in or out by themselves', async () => {
    const scene = await new Scene().follow();
    scene.problem = '503';
    await scene.time.advance(5_000);
    const asked = scene.asked.length;
    await scene.follow({}, true);
    expect([scene.asked.length, scene.checks.well]).toEqual([asked, false]);
    await scene.follow({ settings: { http: { ...settings.http, path: '/other' } } });
    expect([scene.asked.at(-1)?.settings.http.path, scene.checks.well]).toEqual(['/other', false]);
    await scene.follow({ settings: null });
    expect(scene.checks.well).toBe(true);
    const before = scene.asked.length;
    await scene.time.advance(10_000);
    expect(scene.asked.length).toBe(before);
  });

  test.each([
    [{}, { protocol: 'http', http2: false, proxyProtocol: 0 }], [{ protocol: 'http2' }, { protocol: 'http', http2: true }], [{ protocol: 'grpc' }, { protocol: 'grpc' }],
    [{ protocol: 'tcp', proxyProtocol: 2 }, { protocol: 'tcp', proxyProtocol: 2 }], [{ protocol: 'tcp', settings: { protocol: 'http' as const } }, { protocol: 'http', http2: false }],
  ])('is asked as its port says: %j', async (change, question) => {
    const scene = await new Scene().follow(change);
    expect(scene.asked[0]).toMatchObject(question);
  });

  test('is asked at the port that the policy names', async () => {
    const scene = await new Scene({ http: 8080, admin: 9090 }).follow({ settings: { port: 'admin' } });
    expect(scene.asked[0]?.host.address).toBe('127.0.0.1:9090');
  });

  test('waits differ by the jitter, and nothing is asked after the end', async () => {
    const scene = await new Scene().follow();
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      const before = scene.asked.length;
      let waited = 0;
      while (scene.asked.length === before) {
        await scene.time.advance(10);
        waited += 10;
      }
      times.push(waited);
    }
    expect(Math.min(...times)).toBeGreaterThanOrEqual(900);
    expect(Math.max(...times)).toBeLessThanOrEqual(1_110);
    expect(new Set(times).size).toBeGreaterThan(3);
    scene.checks.close();
    const asked = scene.asked.length;
    await scene.time.advance(10_000);
    expect(scene.asked.length).toBe(asked);
  });
});
