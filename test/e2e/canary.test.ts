import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stop } from '../processes/child.ts';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { ask, startTraffic, type Answer, type Traffic } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, untilInSync } from './fixture.ts';

/** An instance that answers with its version, and the status it is told to. */
class Instance {
  status = 200;
  readonly version: string;
  readonly server: Server;

  constructor(version: string) {
    this.version = version;
    this.server = createServer((_request, response) => { response.writeHead(this.status).end(version); });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => { this.server.listen(0, '127.0.0.1', resolve); });
    return this;
  }

  get endpoint(): string {
    return `{address: 127.0.0.1, port: ${(this.server.address() as AddressInfo).port}, labels: {version: ${this.version}}}`;
  }
}

interface Status {
  readonly phase: string;
  readonly step: number | null;
  readonly weight: number | null;
  readonly blocked: string;
  readonly now: { readonly because: string; readonly sentence: string };
  readonly verdict: { readonly end: string; readonly sentence: string } | null;
  readonly decisions: readonly { readonly because: string; readonly candidate: { readonly requests: number; readonly errors: number } | null }[];
}

/** Long enough for a machine that does something else at the same time; nothing here waits for it where things work. */
const patienceMs = 60_000;

describe('a canary of orders, called through the sidecar of web', { timeout: 120_000 }, () => {
  let fixture = new Fixture();
  let controlPlane: RunningControlPlane;
  let web: RunningSidecar;
  let stable: Instance;
  let candidate: Instance;
  let traffic: Traffic | null = null;

  beforeEach(async () => {
    [stable, candidate] = await Promise.all([new Instance('v1').start(), new Instance('v2').start()]);
    controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`
{kind: Service, name: web, ports: {http: {port: 80, protocol: http}}, dependsOn: [orders]}
---
{kind: Service, name: orders, ports: {http: {port: 80, protocol: http}}, endpoints: [${stable.endpoint}, ${candidate.endpoint}]}
---
{kind: Policy, name: no-second-tries, target: {}, retry: {retries: 0}, outlierDetection: {enabled: false}}
`);
    // One data thread: between several, a change of weights takes effect at two moments.
    web = await fixture.sidecar(['--service', 'web', '--app', '127.0.0.1:1', '--inbound', '0', '--outbound', '0', '--workers', '1', '--control-plane', controlPlane.push, '--telemetry-interval', '1s']);
    await untilInSync(controlPlane.api, 1);
    await until('the first answer', () => call(), ({ status }) => status === 200, patienceMs);
  });

  afterEach(async () => {
    await traffic?.stop();
    traffic = null;
    await fixture.end();
    fixture = new Fixture();
    for (const { server } of [stable, candidate]) {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    }
  });

  const port = (): number => web.ports['outbound'] ?? 0;
  const call = (headers: Readonly<Record<string, string>> = {}): Promise<Answer> => ask({ port: port(), path: '/', host: 'orders', headers });

  function canary(steps: string, more = ''): string {
    return `{kind: Canary, name: orders-v2, service: orders, stable: {labels: {version: v1}}, candidate: {labels: {version: v2}}, steps: [${steps}], gates: {errorRate: {maxIncrease: 5%}, minRequests: 20}${more}}`;
  }

  function startCalls(): void {
    traffic = startTraffic({ port: port(), path: '/', host: 'orders', concurrency: 4, pauseMs: 5 });
  }

  async function get<T>(path: string): Promise<T> {
    return await (await fetch(`${controlPlane.api}${path}`)).json() as T;
  }

  const untilStatus = (what: string, accept: (status: Status) => boolean): Promise<Status> => until(what, () => get<Status>('/v1/canaries/orders-v2/status'), accept, patienceMs);

  async function targets(): Promise<unknown> {
    return (await get<{ readonly to: unknown }>('/v1/routes/orders-v2')).to;
  }

  async function stepsWritten(): Promise<string[]> {
    const { items } = await get<{ readonly items: readonly { readonly author: string; readonly message: string }[] }>('/v1/revisions?limit=100');
    return items.filter(({ author }) => author === 'canary/orders-v2').map(({ message }) => message.split(/[:;]/, 1)[0] ?? '').reverse();
  }

  test('whose candidate is well completes, and everything goes to it', async () => {
    startCalls();
    await controlPlane.apply(canary('{weight: 20, for: 1s}, {weight: 60, for: 1s}, {weight: 100}'), '?wait=applied&timeout=60s');
    await untilStatus('the end', ({ phase }) => phase === 'completed');
    expect(await targets()).toEqual([{ labels: { version: 'v2' }, weight: 100 }]);
    expect(await stepsWritten()).toEqual(['step 1 of 3', 'step 2 of 3', 'completed, step 3 of 3']);
    await untilInSync(controlPlane.api, 1);
    const all = await traffic?.stop();
    expect(new Set((await Promise.all(Array.from({ length: 20 }, () => call()))).map(({ body }) => body))).toEqual(new Set(['v2']));
    expect((all ?? []).filter(({ status }) => status !== 200)).toEqual([]);
  });

  test('whose candidate answers 5xx goes back to stable by itself, and names the figures', async () => {
    candidate.status = 500;
    startCalls();
    await controlPlane.apply(canary('{weight: 30, for: 1h}, {weight: 100}'));
    const status = await untilStatus('the end', ({ phase }) => phase === 'failed');
    expect(status.verdict?.sentence).toMatch(/^errors 100 % of \d+, stable 0 % of \d+: more than 5 % above$/);
    const failed = status.decisions.find(({ because }) => because === 'gate-failed')?.candidate;
    expect(failed?.requests).toBeGreaterThanOrEqual(20);
    expect(failed?.errors).toBe(failed?.requests);
    expect(await targets()).toEqual([{ labels: { version: 'v1' }, weight: 100 }]);
    await untilInSync(controlPlane.api, 1);
    await traffic?.stop();
    expect(new Set((await Promise.all(Array.from({ length: 20 }, () => call()))).map(({ status: code, body }) => `${code} ${body}`))).toEqual(new Set(['200 v1']));
  });

  test('holds its weights while the control plane is gone, and goes on when it is back', async () => {
    startCalls();
    await controlPlane.apply(canary('{weight: 50, for: 1h}, {weight: 80, for: 1s}, {weight: 100}'), '?wait=applied&timeout=60s');
    // Without the Route of the first step both sides answer too, by whatever shares the balancer finds best.
    await untilStatus('the first step', ({ weight }) => weight === 50);
    await untilInSync(controlPlane.api, 1, patienceMs);
    await until('both sides answer', () => new Set(traffic?.answers.slice(-50).map(({ body }) => body)), (sides) => sides.size === 2, patienceMs);
    await stop(controlPlane.process);
    const before = traffic?.answers.length ?? 0;
    await traffic?.more(400);
    const answers = (traffic?.answers ?? []).slice(before);
    // Half of them, within 7 standard deviations: far from the next weight, and from none.
    const ofStable = answers.filter(({ body }) => body === 'v1').length / answers.length;
    expect(Math.abs(ofStable - 0.5)).toBeLessThan(0.18);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    controlPlane = await fixture.controlPlane({ folder: controlPlane.folder, pushPort: Number(controlPlane.push.split(':').at(-1)) });
    expect(await get<Status>('/v1/canaries/orders-v2/status')).toMatchObject({ phase: 'running', step: 1, weight: 50 });
    expect((await fetch(`${controlPlane.api}/v1/canaries/orders-v2/promote`, { method: 'POST' })).status).toBe(200);
    await untilStatus('the end', ({ phase }) => phase === 'completed');
    expect(await stepsWritten()).toEqual(['step 1 of 3', 'step 2 of 3', 'completed, step 3 of 3']);
  });

  test('is the only one that writes its Route: an apply is refused by its name, until it is aborted', async () => {
    await controlPlane.apply(canary('{weight: 10, for: 1h}, {weight: 100}'), '?wait=applied&timeout=60s');
    await untilStatus('the first step', ({ weight }) => weight === 10);
    const mine = '{kind: Route, name: orders-v2, service: orders, to: [{labels: {version: v2}}]}';
    await expect(controlPlane.apply(mine)).rejects.toThrow('Route/orders-v2 belongs to Canary/orders-v2, which is at step 1');
    expect((await fetch(`${controlPlane.api}/v1/canaries/orders-v2/abort`, { method: 'POST' })).status).toBe(200);
    await untilStatus('the end', ({ phase }) => phase === 'aborted');
    await controlPlane.apply(mine);
    expect(await targets()).toEqual([{ labels: { version: 'v2' } }]);
  });

  test('with sticky: a user who came to the candidate stays there while its weight grows', async () => {
    await controlPlane.apply(canary('{weight: 20, for: 1s}, {weight: 40, for: 1s}, {weight: 70, for: 1s}, {weight: 100}', ', sticky: {header: X-User-Id}'), '?wait=applied&timeout=60s');
    const users = Array.from({ length: 60 }, (_, nth) => `user-${nth}`);
    const sides = new Map<string, string[]>(users.map((user) => [user, []]));
    let ended = false;
    for (let round = 0; !ended; round++) {
      const { phase, weight } = await get<Status>('/v1/canaries/orders-v2/status');
      ended = phase === 'completed';
      // Calls before the first step is in force are of no canary.
      if (weight === null || round === 0) await untilStatus('the first step', (status) => status.weight !== null).then(() => untilInSync(controlPlane.api, 1, patienceMs));
      if (ended) await untilInSync(controlPlane.api, 1, patienceMs);
      for (const user of users) sides.get(user)?.push((await call({ 'x-user-id': user })).body);
    }
    for (const [user, seen] of sides) {
      const moved = seen.indexOf('v2');
      expect(moved, user).toBeGreaterThanOrEqual(0);
      expect(new Set(seen.slice(0, moved)).has('v2'), user).toBe(false);
      expect(new Set(seen.slice(moved)), `${user}: ${seen.join(' ')}`).toEqual(new Set(['v2']));
    }
    // Some were there from the first step on, and some came later.
    const firsts = [...sides.values()].map((seen) => seen.indexOf('v2'));
    expect(firsts.filter((at) => at === 0).length).toBeGreaterThan(0);
    expect(firsts.filter((at) => at > 0).length).toBeGreaterThan(0);
  });
});
