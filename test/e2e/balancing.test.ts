import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ask, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { startEdge, type Edge } from './edge.ts';
import { Fixture, type App } from './fixture.ts';

describe('four instances behind a gateway', () => {
  let fixture = new Fixture();
  let apps: App[] = [];
  let edge: Edge;

  beforeEach(async () => {
    fixture = new Fixture();
    apps = [];
    for (const name of ['a', 'b', 'c', 'd']) apps.push(await fixture.app(name));
    edge = await startEdge(fixture, { upstreams: apps.map(({ port }) => port), flags: ['--locality', 'eu/a', '--workers', '2'] });
    await until('the first answer', () => ask({ port: edge.port, path: '/' }), ({ status }) => status === 200);
  });

  afterEach(() => fixture.end());

  /** The Service, with what is to be said of each instance. */
  function orders(each: (index: number) => string): string {
    return `{kind: Service, name: orders, ports: {http: {port: 80}}, endpoints: [${apps.map(({ port }, index) => `{address: 127.0.0.1, port: ${port}${each(index)}}`).join(', ')}]}`;
  }

  async function answers(count: number, headers: Record<string, string> = {}): Promise<Answer[]> {
    const found: Answer[] = [];
    // Connections of their own, so that both data threads have some.
    for (let i = 0; i < count; i++) found.push(await ask({ port: edge.port, path: '/', headers: { connection: 'close', ...headers } }));
    return found;
  }

  const bodies = (found: readonly Answer[]): string[] => [...new Set(found.map(({ status, body }) => (status === 200 ? body : `${status}`)))].sort();

  /** The app and all of its connections go. */
  function kill(app: App | undefined): void {
    app?.server.close();
    app?.server.closeAllConnections();
  }

  test('near ones are asked first, those farther away when they are gone, without a failure', async () => {
    await edge.apply([orders((index) => `, locality: ${index < 2 ? 'eu/a/1' : 'eu/b/1'}`), '{kind: Policy, name: near, target: {service: orders}, loadBalancing: {algorithm: roundRobin, locality: {prefer: zone}}, outlierDetection: {consecutive5xx: 0, consecutiveLocalFailures: 0}}'].join('\n---\n'));
    expect(bodies(await answers(60))).toEqual(['a', 'b']);
    kill(apps[0]);
    kill(apps[1]);
    expect(bodies(await answers(60))).toEqual(['c', 'd']);
    apps[0]?.server.listen(apps[0].port, '127.0.0.1');
    await until('the near instance is asked again', () => answers(1), ([one]) => one?.body === 'a', 20_000);
  });

  test('those marked as backup are asked when nobody else is left, which the fleet hears of, and no longer', async () => {
    await edge.apply([orders((index) => (index < 2 ? '' : ', backup: true')), '{kind: Policy, name: spare, target: {service: orders}, loadBalancing: {algorithm: roundRobin}, outlierDetection: {consecutive5xx: 0, consecutiveLocalFailures: 0}}'].join('\n---\n'));
    expect(bodies(await answers(40))).toEqual(['a', 'b']);
    kill(apps[0]);
    kill(apps[1]);
    expect(bodies(await answers(40))).toEqual(['c', 'd']);
    const told = async (): Promise<readonly { readonly event: string }[]> => (await (await fetch(`${edge.controlPlane.api}/v1/services/orders/health`)).json() as { readonly troubles: readonly { readonly event: string }[] }).troubles;
    await until('the fleet knows of the failover', async () => { await answers(2); return told(); }, (troubles) => troubles.some(({ event }) => event === 'failover'), 60_000);
    for (const app of apps.slice(0, 2)) app.server.listen(app.port, '127.0.0.1');
    await until('the others are asked again', () => answers(10), (found) => bodies(found).join(' ') === 'a b', 30_000);
    await until('nothing is told any more', async () => { await answers(2); return told(); }, (troubles) => !troubles.some(({ event }) => event === 'failover'), 60_000);
  }, 180_000);

  test('a session stays with its instance while that is there, and gets another one then', async () => {
    await edge.apply('{kind: Policy, name: sticky, target: {service: orders}, loadBalancing: {sticky: {cookie: where, ttl: 1h}}}');
    const [first] = await answers(1);
    const [cookie = ''] = first?.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^where=[0-9a-f]{16}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/);
    const headers = { cookie: cookie.split(';')[0] ?? '' };
    const session = await answers(40, headers);
    expect(bodies(session)).toEqual([first?.body]);
    expect(session.filter((answer) => answer.headers['set-cookie'] !== undefined)).toEqual([]);
    expect(bodies(await answers(60)).length).toBeGreaterThan(1);
    kill(apps.find((_, index) => 'abcd'[index] === first?.body));
    const [moved] = await answers(1, headers);
    expect([moved?.status, moved?.body === first?.body]).toEqual([200, false]);
    expect(moved?.headers['set-cookie']?.[0]).toMatch(/^where=[0-9a-f]{16};/);
    expect(moved?.headers['set-cookie']?.[0]).not.toContain(headers.cookie);
  });

  test('a new instance is let in slowly, and in the end is as good as the others', async () => {
    const all = apps;
    apps = all.slice(0, 1);
    await edge.apply([orders(() => ''), '{kind: Policy, name: slow, target: {service: orders}, loadBalancing: {algorithm: random, slowStart: {window: 4s, minWeight: 1%}}}'].join('\n---\n'));
    expect(bodies(await answers(20))).toEqual(['a']);
    apps = all.slice(0, 2);
    await edge.apply(orders(() => ''));
    await until('the new one gets its part', () => answers(20), (found) => found.filter(({ body }) => body === 'b').length >= 8, 30_000);
  });

  test('keys stay with their instance, from every data thread', async () => {
    await edge.apply('{kind: Policy, name: keys, target: {service: orders}, loadBalancing: {algorithm: ringHash, hash: {by: [header.x-user]}}}');
    const owners = new Set<string>();
    for (let user = 0; user < 12; user++) {
      const found = bodies(await answers(6, { 'x-user': `user-${user}` }));
      expect(found).toHaveLength(1);
      owners.add(found[0] ?? '');
    }
    expect(owners.size).toBeGreaterThan(1);
  });

  test('a pool for one Route is refused with a word of where it belongs', async () => {
    await expect(edge.controlPlane.apply('{kind: Policy, name: pool, target: {gateway: edge, route: all}, connectionPool: {connections: 1}}')).rejects.toThrow('whichever Route they take');
    await edge.apply('{kind: Policy, name: pool, target: {service: orders}, connectionPool: {connections: 5, maxAge: 1m}}');
    expect(bodies(await answers(5)).every((body) => body.length === 1)).toBe(true);
  });
});
