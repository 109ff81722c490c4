import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ask } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { startEdge, type Edge } from './edge.ts';
import { Fixture } from './fixture.ts';
import { runRemora } from './shop.ts';

/** Serves every request with its name, and says of itself what the test says. */
class Instance {
  well = true;
  readonly #server: Server;

  private constructor(name: string) {
    this.#server = createServer((incoming, response) => void (incoming.url === '/healthz' ? response.writeHead(this.well ? 200 : 503).end() : response.end(name)));
  }

  static async start(name: string): Promise<Instance> {
    const made = new Instance(name);
    await new Promise<void>((resolve) => { made.#server.listen(0, '127.0.0.1', resolve); });
    return made;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

interface Trouble { readonly kind: string; readonly event: string; readonly host: string; readonly detail: string }

/** What a caller does when few of its hosts are well, by a gateway and four instances. */
describe('four instances, some of which are ill', () => {
  let fixture = new Fixture();
  let instances: Instance[] = [];
  let edge: Edge;

  beforeEach(async () => {
    fixture = new Fixture();
    instances = await Promise.all(['a', 'b', 'c', 'd'].map((name) => Instance.start(name)));
    edge = await startEdge(fixture, { upstreams: instances.map(({ port }) => port), flags: ['--locality', 'eu/a', '--telemetry-interval', '1s'] });
  });

  afterEach(async () => {
    await fixture.end();
    await Promise.all(instances.map((instance) => instance.stop()));
  });

  /** Every check has a second: on a busy machine none of those that are well is late. */
  const policy = (sections: string): string => `{kind: Policy, name: p, target: {service: orders}, healthCheck: {interval: 1s, timeout: 1s, unhealthyThreshold: 2, healthyThreshold: 2, http: {path: /healthz}}, ${sections}}`;

  function orders(each: (index: number) => string): string {
    return `{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [${instances.map(({ port }, index) => `{address: 127.0.0.1, port: ${port}${each(index)}}`).join(', ')}]}`;
  }

  /** How many of `count` requests each has answered. */
  async function answers(count: number): Promise<Readonly<Record<string, number>>> {
    const found: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const { status, body, headers } = await ask({ port: edge.port, path: '/' });
      const what = status === 200 ? body : `${status} ${String(headers['x-remora-reason'])}`;
      found[what] = (found[what] ?? 0) + 1;
    }
    return found;
  }

  const names = (found: Readonly<Record<string, number>>): string => Object.keys(found).sort().join(' ');

  async function troubles(): Promise<readonly Trouble[]> {
    return (await (await fetch(`${edge.controlPlane.api}/v1/services/orders/health`)).json() as { readonly troubles: readonly Trouble[] }).troubles;
  }

  function ill(...which: readonly number[]): Promise<readonly Trouble[]> {
    for (const [index, instance] of instances.entries()) instance.well = !which.includes(index);
    return until('the checks have found them', async () => { await answers(2); return troubles(); }, (all) => all.filter(({ event }) => event === 'unhealthy').length === which.length, 60_000);
  }

  test('below the threshold all are asked, which the fleet hears of, and it ends when enough are well', async () => {
    await edge.apply(policy('loadBalancing: {algorithm: roundRobin}'));
    await ill(0);
    expect(names(await answers(40))).toBe('b c d');
    await ill(0, 1, 2);
    const panic = await until('the fleet knows of the panic', async () => { await answers(2); return troubles(); }, (all) => all.some(({ event }) => event === 'panic'), 60_000);
    expect(panic.find(({ event }) => event === 'panic')).toMatchObject({ kind: 'loadBalancing', detail: expect.stringContaining('1 of 4') });
    expect(names(await answers(40))).toBe('a b c d');
    expect((await runRemora(edge.controlPlane.api, ['health', 'orders'])).out).toContain('panic');
    const metrics = await (await fetch(`http://127.0.0.1:${edge.gateway.ports['admin']}/metrics`)).text();
    expect(metrics).toMatch(/remora_policy_events_total\{[^}]*kind="loadBalancing"[^}]*event="panic"[^}]*\} 1\n/);
    await ill();
    await until('nothing is told any more', async () => { await answers(2); return troubles(); }, (all) => all.length === 0, 60_000);
    expect(names(await answers(40))).toBe('a b c d');
  }, 240_000);

  test('without panic nobody is asked, and the fallback says why', async () => {
    await edge.apply(policy('loadBalancing: {panicThreshold: 0%}'));
    await ill(0, 1, 2, 3);
    expect(names(await answers(20))).toBe('503 no-healthy-upstream');
    await edge.apply(policy('loadBalancing: {panicThreshold: 0%}, fallback: {answer: {status: 200, body: "later: ${reason.code}"}}'));
    expect(names(await answers(20))).toBe('later: no-healthy-upstream');
    await ill();
    await until('they are asked again', () => answers(4), (found) => !names(found).includes('later'), 60_000);
  }, 240_000);

  test('of two near instances one is ill: the other takes what it can, those farther away the rest', async () => {
    await edge.apply([orders((index) => `, locality: ${index < 2 ? 'eu/a/1' : 'eu/b/1'}`), policy('loadBalancing: {algorithm: random, locality: {prefer: zone}, panicThreshold: 0%}')].join('\n---\n'));
    await until('near ones are asked alone', () => answers(30), (found) => names(found) === 'a b', 60_000);
    await ill(0);
    const found = await answers(300);
    // One of two, by 1.4: 70 % stay near. 0.3 of 300 is 90, give or take 8.
    const far = (found['c'] ?? 0) + (found['d'] ?? 0);
    expect(names(found)).toBe('b c d');
    expect(far).toBeGreaterThan(40);
    expect(far).toBeLessThan(140);
  }, 240_000);

  test('a new instance begins with a small part of the requests', async () => {
    const windowMs = 8_000;
    const all = instances;
    instances = all.slice(0, 1);
    await edge.apply([orders(() => ''), `{kind: Policy, name: p, target: {service: orders}, loadBalancing: {algorithm: random, slowStart: {window: ${windowMs}ms, minWeight: 1%}}}`].join('\n---\n'));
    await until('the first one answers', () => answers(1), (found) => names(found) === 'a');
    const knownAt = performance.now();
    await until('the first one has its full weight', () => performance.now() - knownAt, (age) => age > windowMs);
    instances = all.slice(0, 2);
    const from = performance.now();
    await edge.apply(orders(() => ''));
    const { b = 0 } = await answers(200);
    // It is no older than this, and so weighs at most so much beside the other's 1. On a machine that stands still for the whole window this says nothing, and is right.
    const weight = Math.min(1, Math.max(0.01, (performance.now() - from) / windowMs));
    expect(b).toBeLessThan(200 * (weight / (1 + weight)) + 35);
    instances = all;
  }, 120_000);
});
