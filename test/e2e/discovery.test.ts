import { once } from 'node:events';
import { createServer } from 'node:http';
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { afterEach, describe, expect, test } from 'vitest';
import { DnsServerDouble } from '@remora/control-plane/discovery/dns/testdata/dns-server-double';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { ask, startTraffic } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { Fixture, sidecarsOf, twoServices, untilInSync, type App } from './fixture.ts';

interface Listed {
  readonly items: readonly { readonly id: string; readonly source: string; readonly state: string; readonly since: string | null; readonly confirmedAt: string | null }[];
  readonly sources: readonly { readonly source: string; readonly state: string; readonly error: string; readonly suspect: number }[];
}

async function endpointsOf({ api }: RunningControlPlane, service: string): Promise<Listed> {
  return await (await fetch(`${api}/v1/services/${service}/endpoints`)).json() as Listed;
}

/** Who answers, of a number of requests through a caller. */
async function answering(caller: RunningSidecar, host: string): Promise<string> {
  const names = new Set<string>();
  for (let i = 0; i < 12; i++) {
    const { status, body } = await ask({ port: caller.ports['outbound'] ?? 0, path: '/', host });
    names.add(status === 200 ? body : String(status));
  }
  return [...names].sort().join(' ');
}

/** Instances come from where documents say, change while callers call them, and go: by real processes. */
describe('discovery', () => {
  let fixture = new Fixture();
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    await fixture.end();
    for (const end of ends.splice(0)) await end();
    fixture = new Fixture();
  });
  const beside = (app: App, controlPlane: RunningControlPlane): string[] => ['--control-plane', controlPlane.push, '--app', `127.0.0.1:${app.port}`, '--inbound', '0', '--outbound', '0'];

  test('instances from a file: replaced while it is called; a file that is broken keeps what was, and says why', async () => {
    const folder = scratchFolder('discovery');
    const replace = (text: string): void => {
      writeFileSync(path.join(folder, 'new'), text);
      renameSync(path.join(folder, 'new'), path.join(folder, 'orders.yaml'));
    };
    const [first, second] = [await fixture.app('first'), await fixture.app('second')];
    replace(`endpoints:\n  - {address: 127.0.0.1, port: ${first.port}}\n`);
    const controlPlane = await fixture.controlPlane({ flags: ['--discovery-dir', folder] });
    await controlPlane.apply(twoServices.replace('name: orders\n', 'name: orders\ndiscovery: {source: file}\n'));
    const web = await fixture.sidecar(['--service', 'web', ...beside(first, controlPlane)]);
    await until('the instance in the file answers', () => answering(web, 'orders'), (names) => names === 'first');
    const traffic = startTraffic({ port: web.ports['outbound'] ?? 0, path: '/', host: 'orders', concurrency: 4 });
    await traffic.more(50);
    replace(`endpoints:\n  - {address: 127.0.0.1, port: ${first.port}}\n  - {address: 127.0.0.1, port: ${second.port}}\n`);
    await until('both answer', () => answering(web, 'orders'), (names) => names === 'first second');
    replace('endpoints: [{adress: x}]\n');
    const { sources } = await until('the file is refused', () => endpointsOf(controlPlane, 'orders'), (listed) => listed.sources[0]?.state === 'failing');
    expect(sources[0]?.error).toContain('orders.yaml: /endpoints/0');
    // The balancer may pass over for a while who was slow: both are used in the end.
    await until('both still answer', () => answering(web, 'orders'), (names) => names === 'first second');
    const { items } = await endpointsOf(controlPlane, 'orders');
    expect(items.map(({ source, state }) => `${source} ${state}`)).toEqual(['file ready', 'file ready']);
    expect(items.every(({ since, confirmedAt }) => since !== null && confirmedAt !== null)).toBe(true);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  });

  test('instances from DNS: an empty answer and a restart of the control plane change nothing', async () => {
    const server = await new DnsServerDouble().listen();
    ends.push(() => server.close());
    server.put('orders.test', { records: [{ type: 'A', name: 'orders.test', ttlS: 1, address: '127.0.0.1' }] });
    const app = await fixture.app('orders');
    const flags = ['--dns-servers', `127.0.0.1:${server.port}`];
    const controlPlane = await fixture.controlPlane({ flags });
    await controlPlane.apply(twoServices.replace('name: orders\n', `name: orders\ndiscovery: {source: dns, dns: {name: orders.test, port: ${app.port}, minTtl: 1s}}\n`));
    const web = await fixture.sidecar(['--service', 'web', ...beside(app, controlPlane)]);
    await until('it is found', () => answering(web, 'orders'), (names) => names === 'orders');
    server.put('orders.test', { records: [] });
    await until('the source fails', () => endpointsOf(controlPlane, 'orders'), (listed) => listed.sources[0]?.state === 'failing');
    expect(await answering(web, 'orders')).toBe('orders');
    const gone = once(controlPlane.process, 'exit');
    controlPlane.process.kill('SIGKILL');
    await gone;
    const again = await fixture.controlPlane({ flags, folder: controlPlane.folder, apiPort: Number(new URL(controlPlane.api).port), pushPort: Number(controlPlane.push.split(':').at(-1)) });
    await untilInSync(again.api, 1);
    const listed = await until('the new one has asked', () => endpointsOf(again, 'orders'), ({ sources }) => sources[0]?.state === 'failing');
    expect(listed.items.map(({ source, state }) => `${source} ${state}`)).toEqual(['dns ready']);
    expect(await answering(web, 'orders')).toBe('orders');
  });

  test('addresses in DNS change while they are called; nothing of what DNS does wrong changes who is called', async () => {
    const server = await new DnsServerDouble().listen();
    ends.push(() => server.close());
    const addresses = (...list: readonly string[]): void => server.put('orders.test', { records: list.map((address) => ({ type: 'A', name: 'orders.test', ttlS: 1, address })) });
    const first = await fixture.app('first');
    const second = createServer((_, response) => void response.end('second'));
    await new Promise<void>((resolve) => { second.listen(first.port, '127.0.0.2', resolve); });
    ends.push(async () => {
      second.closeAllConnections();
      await new Promise((resolve) => { second.close(resolve); });
    });
    addresses('127.0.0.1');
    const controlPlane = await fixture.controlPlane({ flags: ['--dns-servers', `127.0.0.1:${server.port}`] });
    await controlPlane.apply(twoServices.replace('name: orders\n', `name: orders\ndiscovery: {source: dns, dns: {name: orders.test, port: ${first.port}, minTtl: 1s}}\n`));
    const web = await fixture.sidecar(['--service', 'web', ...beside(first, controlPlane)]);
    await until('it is found', () => answering(web, 'orders'), (names) => names === 'first');
    const traffic = startTraffic({ port: web.ports['outbound'] ?? 0, path: '/', host: 'orders', concurrency: 4 });
    addresses('127.0.0.1', '127.0.0.2');
    await until('both answer', () => answering(web, 'orders'), (names) => names === 'first second', 30_000);
    addresses('127.0.0.2');
    await until('the first is gone', () => endpointsOf(controlPlane, 'orders'), ({ items }) => items.filter(({ state }) => state === 'ready').length === 1, 30_000);
    await until('the second answers alone', () => answering(web, 'orders'), (names) => names === 'second', 30_000);
    const faults: readonly (readonly [string, () => void])[] = [
      ['no such name', () => server.put('orders.test', { code: 3, records: [] })], ['no addresses', () => addresses()], ['a server failure', () => { server.failing = 2; }],
    ];
    for (const [what, begin] of faults) {
      begin();
      const asked = server.questions.length;
      await until(`it was asked again: ${what}`, () => endpointsOf(controlPlane, 'orders'), ({ sources }) => sources[0]?.state === 'failing' && server.questions.length > asked + 1, 60_000);
      expect(await answering(web, 'orders')).toBe('second');
    }
    server.failing = 0;
    addresses('127.0.0.1', '127.0.0.2');
    await until('both answer again', () => answering(web, 'orders'), (names) => names === 'first second', 60_000);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  }, 240_000);

  test('an instance is killed with -9: within 15 s no caller has it any more', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    const killed = await fixture.sidecar(['--service', 'orders', '--node-id', 'orders-killed', ...beside(app, controlPlane)]);
    for (const n of [1, 2]) await fixture.sidecar(['--service', 'orders', '--node-id', `orders-${n}`, ...beside(app, controlPlane)]);
    for (const n of [1, 2, 3]) await fixture.sidecar(['--service', 'web', '--node-id', `web-${n}`, ...beside(app, controlPlane)]);
    await untilInSync(controlPlane.api, 6);
    await until('three instances are announced', () => endpointsOf(controlPlane, 'orders'), ({ items }) => items.filter(({ state }) => state === 'ready').length === 3);
    // Leases of instances that a control plane has only just met end no earlier than its grace after a start: that is over first.
    await until('the control plane is past its grace', () => graceIsOver(controlPlane), (over) => over, 40_000);
    const before = await statesOf(controlPlane);
    killed.process.kill('SIGKILL');
    const from = performance.now();
    await until('the lease has ended', () => endpointsOf(controlPlane, 'orders'), ({ items }) => !items.some(({ id }) => id === 'orders-killed'), 15_000);
    await until('every caller has confirmed it', () => statesOf(controlPlane), (states) => [...states].every(([node, { version, inSync }]) => inSync && version > (before.get(node)?.version ?? 0)), 15_000 - (performance.now() - from));
    expect(performance.now() - from).toBeLessThan(15_000);
  });

  test('an instance is killed with -9 and nobody is there to say so: its callers see it at once, and nothing fails', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`${twoServices}---\nkind: Policy\nname: again\ntarget: {service: orders}\nretry: {retries: 2, retryOn: [connect-failure, reset]}\n`);
    const app = await fixture.app('orders');
    const killed = await fixture.sidecar(['--service', 'orders', ...beside(app, controlPlane)]);
    for (const n of [1, 2]) await fixture.sidecar(['--service', 'orders', '--node-id', `orders-${n}`, ...beside(app, controlPlane)]);
    const web = await fixture.sidecar(['--service', 'web', ...beside(app, controlPlane)]);
    await untilInSync(controlPlane.api, 4);
    await until('three instances are announced', () => endpointsOf(controlPlane, 'orders'), ({ items }) => items.filter(({ state }) => state === 'ready').length === 3);
    const traffic = startTraffic({ port: web.ports['outbound'] ?? 0, path: '/', host: 'orders', concurrency: 4 });
    await traffic.more(200);
    // No lease ends any more: what callers know of instances is what they see.
    for (const { process } of [controlPlane, killed]) {
      const gone = once(process, 'exit');
      process.kill('SIGKILL');
      await gone;
    }
    // A third of them would go to it. The budget of retries allows a fifth.
    await traffic.more(1_000);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
  });

  test('a caller that does not confirm is named, and nothing fails for the others', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(twoServices);
    const app = await fixture.app('orders');
    let log = '';
    const leaving = await fixture.sidecar(['--service', 'orders', ...beside(app, controlPlane)], { onLog: (text) => { log += text; } });
    await fixture.sidecar(['--service', 'orders', ...beside(app, controlPlane)]);
    const web = await fixture.sidecar(['--service', 'web', ...beside(app, controlPlane)]);
    const stopped = await fixture.sidecar(['--service', 'web', '--node-id', 'web-stopped', ...beside(app, controlPlane)]);
    await untilInSync(controlPlane.api, 4);
    await until('two instances answer', () => endpointsOf(controlPlane, 'orders'), ({ items }) => items.filter(({ state }) => state === 'ready').length === 2);
    const traffic = startTraffic({ port: web.ports['outbound'] ?? 0, path: '/', host: 'orders', concurrency: 8 });
    await traffic.more(200);
    stopped.process.kill('SIGSTOP');
    const gone = once(leaving.process, 'exit');
    const from = performance.now();
    leaving.process.kill('SIGTERM');
    await until('it is shown as leaving', () => endpointsOf(controlPlane, 'orders'), ({ items }) => items.some(({ state }) => state === 'draining'));
    await gone;
    const took = performance.now() - from;
    stopped.process.kill('SIGCONT');
    await traffic.more(200);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
    expect(leaving.process.exitCode).toBe(0);
    expect(log).toContain('some callers did not confirm that this instance leaves');
    expect(log).toContain('web-stopped');
    // Not before the barrier was given up, and not for ever.
    expect(took).toBeGreaterThan(9_000);
  });

  test('without a control plane an instance leaves after a fixed delay, and nothing fails', async () => {
    const controlPlane = await fixture.controlPlane();
    await controlPlane.apply(`${twoServices}---\nkind: Policy\nname: again\ntarget: {service: orders}\nretry: {retries: 2, retryOn: [connect-failure, refused-stream]}\n`);
    const app = await fixture.app('orders');
    const leaving = await fixture.sidecar(['--service', 'orders', '--drain-delay', '1s', ...beside(app, controlPlane)]);
    await fixture.sidecar(['--service', 'orders', ...beside(app, controlPlane)]);
    const web = await fixture.sidecar(['--service', 'web', ...beside(app, controlPlane)]);
    await untilInSync(controlPlane.api, 3);
    await until('two instances answer', () => endpointsOf(controlPlane, 'orders'), ({ items }) => items.filter(({ state }) => state === 'ready').length === 2);
    const traffic = startTraffic({ port: web.ports['outbound'] ?? 0, path: '/', host: 'orders', concurrency: 8 });
    await traffic.more(200);
    const dead = once(controlPlane.process, 'exit');
    controlPlane.process.kill('SIGKILL');
    await dead;
    const gone = once(leaving.process, 'exit');
    const from = performance.now();
    leaving.process.kill('SIGTERM');
    await gone;
    expect(performance.now() - from).toBeGreaterThan(1_000);
    await traffic.more(300);
    expect((await traffic.stop()).filter(({ status }) => status !== 200)).toEqual([]);
    expect(leaving.process.exitCode).toBe(0);
  });
});

/** By callers: what their state lane has. */
async function statesOf({ api }: RunningControlPlane): Promise<ReadonlyMap<string, { readonly version: number; readonly inSync: boolean }>> {
  const items = (await sidecarsOf(api)) as unknown as readonly { readonly nodeId: string; readonly subject: string; readonly state: { readonly applied: { readonly index: number }; readonly inSync: boolean } }[];
  return new Map(items.filter(({ subject }) => subject === 'service/web').map(({ nodeId, state }) => [nodeId, { version: state.applied.index, inSync: state.inSync }]));
}

/** 30 s after its start. */
async function graceIsOver({ api }: RunningControlPlane): Promise<boolean> {
  const text = await (await fetch(`${api}/metrics`)).text();
  const startedS = Number(/^process_start_time_seconds (\S+)/m.exec(text)?.[1] ?? Number.NaN);
  return Date.now() / 1_000 - startedS > 32;
}
