import { reasons } from '@remora/errors/reason';
import type { Call } from '@remora/policy-kit/exchange';
import { hostHealth, HostStates, noSlot } from '@remora/policy-kit/host-states';
import type { Host, HostSet } from '@remora/policy-kit/hosts';
import { effectiveSection } from '@remora/testing/effective-section';
import { MemoryLiveState, TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import { describe, expect, test } from 'vitest';
import { outlierDetectionAuthoring } from './compile.ts';
import { outlierDetectionRuntime } from './filter.ts';

testKindCases(import.meta.dirname, outlierDetectionAuthoring, outlierDetectionRuntime);

interface SceneOptions {
  readonly hosts?: number;
  readonly shadow?: boolean;
  /** What other scenes of the same sidecar share: another thread, another snapshot. */
  readonly beside?: Scene;
}

/** A destination with hosts 0, 1, 2 …, whose attempts end as the test says. */
class Scene {
  readonly context: TestFilterContext;
  readonly states: HostStates;
  readonly hosts: HostSet;
  readonly #driver: LayerDriver;

  constructor(section: object = {}, { hosts = 10, shadow = false, beside }: SceneOptions = {}) {
    const { body } = outlierDetectionAuthoring.compile(effectiveSection(outlierDetectionAuthoring, section as never));
    const clock = beside?.context.clock ?? new ManualClock();
    const live = beside?.context.live ?? new MemoryLiveState();
    this.context = new TestFilterContext('outlierDetection', { side: 'outbound', shadow, live, clock, scope: 'outbound/web/to/payments/' });
    this.states = beside?.states ?? new HostStates(new ArrayBuffer(HostStates.bytes()));
    const all = beside?.hosts.all ?? Array.from({ length: hosts }, (_, i) => makeHost(i));
    this.hosts = { hosts: all, all, states: this.states, locality: '' };
    const layer = outlierDetectionRuntime.layer?.(outlierDetectionRuntime.decode(body), this.context);
    if (!layer) throw new Error('invariant: it is a layer');
    this.#driver = new LayerDriver(layer, this.context, { request: { method: 'GET', authority: 'payments', target: '/', headers: {}, bodyLength: 0 } });
  }

  get call(): Call {
    return Object.assign(this.#driver.last.call, { hosts: this.hosts });
  }

  answers(index: number, status: number, times = 1, grpcStatus = -1): void {
    for (let i = 0; i < times; i++) this.call.watch?.answered(this.call, this.host(index), status, grpcStatus, 1);
  }

  fails(index: number, times = 1, reason = reasons.upstreamReset, sent = true): void {
    for (let i = 0; i < times; i++) this.call.watch?.failed(this.call, this.host(index), reason, sent);
  }

  /** One event after the other, not all of them at once. */
  failsApart(index: number, times = 1, reason = reasons.upstreamReset, sent = true): void {
    for (let i = 0; i < times; i++) {
      this.context.clock.advance(25);
      this.fails(index, 1, reason, sent);
    }
  }

  host(index: number): Host {
    return this.hosts.all[index] as Host;
  }

  replace(index: number, host: Host): void {
    (this.hosts.all as Host[])[index] = host;
  }

  get out(): number[] {
    const nowMs = this.context.clock.monotonicMs();
    return this.hosts.all.flatMap(({ slot }, index) => (this.states.ejectedUntil(slot) > nowMs ? [index] : []));
  }

  get events(): string[] {
    return this.context.events.map(({ event, host, detail }) => `${event} ${host} ${detail}`.trim());
  }
}

function makeHost(i: number, since = 1000): Host {
  return {
    service: 'payments', port: 'http', id: `p${i}`, address: `10.0.0.${i}:80`, slot: i, weight: 1, locality: '', labels: [], backup: false, suspect: false, draining: false,
    since, active: 0, downUntil: 0, latencyMs: 0, latencyAt: 0, owesSince: 0,
  };
}

describe('failures in a row', () => {
  test.each([
    { name: 'the default', ends: (scene: Scene) => scene.answers(3, 500, 5), out: [3] },
    { name: 'one too few', ends: (scene: Scene) => scene.answers(3, 500, 4), out: [] },
    { name: 'a success between', ends: (scene: Scene) => { scene.answers(3, 500, 4); scene.answers(3, 200); scene.answers(3, 500, 4); }, out: [] },
    { name: '4xx is the client\'s doing', ends: (scene: Scene) => scene.answers(3, 404, 50), out: [] },
    { name: 'other hosts have counts of their own', ends: (scene: Scene) => { for (let i = 0; i < 4; i++) { scene.answers(3, 500); scene.answers(4, 500); } }, out: [] },
    { name: 'connections that break', ends: (scene: Scene) => scene.fails(3, 5), out: [3] },
    { name: 'no answer in time', ends: (scene: Scene) => scene.fails(3, 5, reasons.upstreamTimeout), out: [3] },
    { name: 'connections that are refused', ends: (scene: Scene) => scene.failsApart(3, 5, reasons.connectFailure, false), out: [3] },
    { name: 'connections that are not accepted in time', ends: (scene: Scene) => scene.failsApart(3, 5, reasons.connectTimeout, false), out: [3] },
    { name: 'a peer that is the wrong one', ends: (scene: Scene) => scene.failsApart(3, 5, reasons.upstreamIdentity, false), out: [3] },
    { name: 'many calls that one refused connection fails', ends: (scene: Scene) => scene.fails(3, 50, reasons.connectFailure, false), out: [] },
    { name: 'bounds of our own', ends: (scene: Scene) => scene.failsApart(3, 50, reasons.overflow, false), out: [] },
    { name: 'a limit of time that ended before there was a connection', ends: (scene: Scene) => scene.failsApart(3, 50, reasons.upstreamTimeout, false), out: [] },
    { name: 'material of our own that is missing', ends: (scene: Scene) => scene.failsApart(3, 50, reasons.upstreamTlsConfiguration, false), out: [] },
    { name: 'connections that break after they have served', ends: (scene: Scene) => { scene.call.reused = true; scene.failsApart(3, 50); }, out: [] },
    { name: 'the same, and then a new one', ends: (scene: Scene) => { scene.call.reused = true; scene.failsApart(3, 50); scene.call.reused = false; scene.fails(3); }, out: [3] },
    { name: 'the same, and then a 500', ends: (scene: Scene) => { scene.call.reused = true; scene.failsApart(3, 4); scene.answers(3, 500); }, out: [3] },
    { name: 'one connection that breaks for many calls, and four failures', ends: (scene: Scene) => { scene.call.reused = true; scene.fails(3, 50); scene.answers(3, 500, 3); }, out: [] },
    { name: 'no answer in time on a connection that has served', ends: (scene: Scene) => { scene.call.reused = true; scene.fails(3, 5, reasons.upstreamTimeout); }, out: [3] },
    { name: 'stale connections where one failure is enough', section: { consecutive5xx: 1, consecutiveLocalFailures: 1 }, ends: (scene: Scene) => { scene.call.reused = true; scene.failsApart(3, 50); }, out: [] },
    { name: 'local failures and 5xx together', ends: (scene: Scene) => { scene.fails(3, 2); scene.answers(3, 503, 3); }, out: [3] },
    { name: 'local failures alone', section: { consecutive5xx: 0, consecutiveLocalFailures: 2 }, ends: (scene: Scene) => { scene.fails(3); scene.answers(3, 500); scene.fails(3); }, out: [] },
    { name: 'gateway errors alone', section: { consecutive5xx: 0, consecutiveGatewayErrors: 3 }, ends: (scene: Scene) => { scene.answers(3, 502); scene.answers(3, 503); scene.answers(3, 504); }, out: [3] },
    { name: 'a 500 among gateway errors', section: { consecutive5xx: 0, consecutiveGatewayErrors: 3 }, ends: (scene: Scene) => { scene.answers(3, 502, 2); scene.answers(3, 500); scene.answers(3, 502, 2); }, out: [] },
    { name: 'everything off', section: { consecutive5xx: 0, consecutiveLocalFailures: 0 }, ends: (scene: Scene) => scene.fails(3, 100), out: [] },
    { name: 'gRPC UNAVAILABLE', ends: (scene: Scene) => scene.answers(3, 200, 5, 14), out: [3] },
    { name: 'gRPC NOT_FOUND', ends: (scene: Scene) => scene.answers(3, 200, 50, 5), out: [] },
    { name: 'gRPC UNIMPLEMENTED says nothing of the host', ends: (scene: Scene) => scene.answers(3, 200, 50, 12), out: [] },
  ])('$name: out are $out', ({ section, ends, out }) => {
    const scene = new Scene(section);
    ends(scene);
    expect(scene.out).toEqual(out);
  });

  test('an ejection is told of with host, detector, figures and its end', () => {
    const scene = new Scene();
    const nowMs = scene.context.clock.monotonicMs();
    scene.answers(3, 500, 5);
    expect(scene.context.events).toEqual([
      { kind: 'outlierDetection', event: 'ejected', service: 'payments', host: '10.0.0.3:80', pointer: '/consecutive5xx', detail: 'consecutive-5xx, 5 of 5', untilMs: nowMs + 30_000 },
    ]);
  });

  test('answers that were under way while it was ejected eject it no further', () => {
    const scene = new Scene();
    scene.answers(3, 500, 50);
    expect(scene.events).toEqual(['ejected 10.0.0.3:80 consecutive-5xx, 5 of 5']);
    expect(scene.states.ejections(3)).toBe(1);
  });
});

describe('how long, and how many', () => {
  test('each ejection is longer, up to the bound; rest makes them shorter again', () => {
    const scene = new Scene({ baseEjection: '10s', maxEjection: '25s', interval: '10s' });
    const { clock } = scene.context;
    const lengths = Array.from({ length: 4 }, () => {
      scene.answers(3, 500, 5);
      const length = scene.states.ejectedUntil(3) - clock.monotonicMs();
      clock.advance(length + 1);
      return length;
    });
    expect(lengths).toEqual([10_000, 20_000, 25_000, 25_000]);
    for (let i = 0; i < 5; i++) {
      clock.advance(10_000);
      scene.answers(0, 200);
    }
    scene.answers(3, 500, 5);
    expect(scene.states.ejectedUntil(3) - clock.monotonicMs()).toBe(10_000);
  });

  test.each([
    { hosts: 10, maxEjected: '10%', out: 1 }, { hosts: 10, maxEjected: '29%', out: 2 }, { hosts: 3, maxEjected: '10%', out: 1 }, { hosts: 3, maxEjected: '100%', out: 3 },
    { hosts: 1, maxEjected: '100%', out: 0 },
  ])('of $hosts hosts that all fail $out are out at $maxEjected', ({ hosts, maxEjected, out }) => {
    const scene = new Scene({ maxEjected }, { hosts });
    for (let i = 0; i < hosts; i++) scene.answers(i, 500, 5);
    expect(scene.out).toHaveLength(out);
    expect(scene.context.counts.get('outlierDetection_capped') ?? 0).toBe(hosts === 1 ? 0 : hosts - out);
  });

  test('who was spared for the cap is ejected when there is room again', () => {
    const scene = new Scene({}, { hosts: 2 });
    scene.answers(0, 500, 5);
    scene.answers(1, 500, 5);
    expect(scene.out).toEqual([0]);
    scene.context.clock.advance(30_001);
    scene.answers(1, 500, 5);
    expect(scene.out).toEqual([1]);
  });

  test('jitter makes an ejection longer, never shorter', () => {
    const scene = new Scene({ jitter: '10s' });
    scene.answers(3, 500, 5);
    const length = scene.states.ejectedUntil(3) - scene.context.clock.monotonicMs();
    expect(length).toBeGreaterThan(30_000);
    expect(length).toBeLessThan(40_000);
  });

  test('the return of a host is told of once', () => {
    const scene = new Scene();
    scene.answers(3, 500, 5);
    for (let i = 0; i < 5; i++) {
      scene.context.clock.advance(10_000);
      scene.answers(0, 200);
    }
    expect(scene.events).toEqual(['ejected 10.0.0.3:80 consecutive-5xx, 5 of 5', 'returned 10.0.0.3:80 after 1 ejections']);
  });
});

describe('hosts compared', () => {
  const rates = { successRate: { deviations: 1.9 }, consecutive5xx: 0 };

  function interval(scene: Scene, failures: readonly number[], requests = 100): void {
    scene.context.clock.advance(10_000);
    failures.forEach((failing, i) => {
      for (let n = 0; n < requests; n++) scene.answers(i, n % requests < failing ? 500 : 200);
    });
    scene.context.clock.advance(10_000);
    scene.answers(0, 200);
  }

  test.each([
    { name: 'one fails half of what it gets', failures: [0, 0, 50, 0, 0, 0], out: [2] },
    { name: 'all fail alike', failures: [50, 50, 50, 50, 50, 50], out: [] },
    { name: 'too few hosts', failures: [0, 0, 50, 0], out: [] },
    { name: 'too few requests', failures: [0, 0, 25, 0, 0, 0], requests: 50, out: [] },
  ])('success rate: $name', ({ failures, requests, out }) => {
    const scene = new Scene(rates, { hosts: failures.length });
    interval(scene, failures, requests);
    expect(scene.out).toEqual(out);
  });

  test('failure percentage needs no others to compare with', () => {
    const scene = new Scene({ failurePercentage: { threshold: '85%' }, consecutive5xx: 0, maxEjected: '100%' }, { hosts: 5 });
    interval(scene, [90, 90, 84, 85, 0]);
    expect(scene.out).toEqual([0, 1, 3]);
    expect(scene.context.events[0]).toMatchObject({ pointer: '/failurePercentage', detail: 'failure-percentage, 90.0 % of 100 requests, 85.0 % is the threshold' });
  });

  test('what an interval counted is forgotten in the next', () => {
    const scene = new Scene({ failurePercentage: { threshold: '50%' }, consecutive5xx: 0 }, { hosts: 5 });
    interval(scene, [40, 0, 0, 0, 0], 60);
    scene.context.clock.advance(600_000);
    scene.answers(0, 500, 30);
    interval(scene, [0, 0, 0, 0, 0], 60);
    expect(scene.events.filter((event) => event.startsWith('ejected'))).toEqual(['ejected 10.0.0.0:80 failure-percentage, 66.7 % of 60 requests, 50.0 % is the threshold']);
  });
});

describe('who shares what', () => {
  test('failures that two threads see count together, and eject once', () => {
    const one = new Scene();
    const other = new Scene({}, { beside: one });
    one.answers(3, 500, 3);
    other.answers(3, 500, 2);
    expect(one.out).toEqual([3]);
    expect([...one.events, ...other.events]).toEqual(['ejected 10.0.0.3:80 consecutive-5xx, 5 of 5']);
  });

  test('a host that comes into the slot of another begins anew', () => {
    const scene = new Scene();
    scene.answers(3, 500, 4);
    scene.replace(3, makeHost(3, 2000));
    scene.answers(3, 500, 1);
    expect(scene.out).toEqual([]);
  });

  test('a host without a slot is left alone', () => {
    const scene = new Scene();
    scene.replace(3, { ...makeHost(3), slot: noSlot });
    scene.answers(3, 500, 50);
    expect(scene.events).toEqual([]);
  });

  test('in shadow nobody is out, and what would happen is told once per ejection', () => {
    const scene = new Scene({}, { shadow: true });
    scene.answers(3, 500, 50);
    expect(scene.out).toEqual([]);
    expect(scene.events).toEqual(['would-eject 10.0.0.3:80 consecutive-5xx, 5 of 5']);
    scene.context.clock.advance(30_001);
    scene.answers(3, 500, 5);
    expect(scene.events).toHaveLength(2);
  });

  test('health is not outlier detection\'s to say', () => {
    const scene = new Scene();
    scene.answers(3, 500, 5);
    expect(scene.states.health(3)).toBe(hostHealth.unchecked);
    expect(scene.states.usable(3, scene.context.clock.monotonicMs())).toBe(false);
    expect(scene.states.usable(3, scene.context.clock.monotonicMs() + 30_000)).toBe(true);
  });
});
