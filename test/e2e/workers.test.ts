import { Agent, get } from 'node:http';
import { freePort } from '@remora/testing/free-port';
import { afterEach, describe, expect, test } from 'vitest';
import { RecordingApp } from '../processes/recording-app.ts';
import { ask } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { cleanRequest, ordersAt, startEdge, threadsOf } from './edge.ts';
import { Fixture } from './fixture.ts';

/** A sidecar with several data threads: they are one to clients, whatever happens to one of them. */
describe('several workers', () => {
  let fixture = new Fixture();
  const apps: RecordingApp[] = [];
  afterEach(async () => {
    await fixture.end();
    for (const app of apps.splice(0)) await app.close();
    fixture = new Fixture();
  });

  async function startApp(): Promise<RecordingApp> {
    const app = await RecordingApp.start();
    apps.push(app);
    return app;
  }

  const alone = (port: number) => ask({ port, path: '/', headers: { connection: 'close' } });

  test('a limit of 50 admits 50, over many connections and an edit that does not touch it', async () => {
    const app = await startApp();
    const edge = await startEdge(fixture, {
      upstreams: [app.port], flags: ['--workers', '2'],
      documents: '{kind: Policy, name: limit, target: {gateway: edge}, rateLimit: {limits: {all: {requests: 50, per: 30d, algorithm: fixedWindow}}}}',
    });
    const statuses = (await Promise.all(Array.from({ length: 80 }, () => alone(edge.port)))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(50);
    await edge.apply('{kind: Policy, name: mark, target: {gateway: edge}, transform: {response: {headers: {set: {x-mark: "1"}}}}}');
    expect((await Promise.all(Array.from({ length: 40 }, () => alone(edge.port)))).map(({ status }) => status)).toEqual(Array.from({ length: 40 }, () => 429));
    const threads = await threadsOf(edge.gateway);
    expect(threads.map(({ listeners }) => (listeners[0]?.accepted ?? 0) > 0)).toEqual([true, true]);
  });

  test('under edits, versions never go back on a connection; endpoints reach all threads', async () => {
    const [first, second] = [await startApp(), await startApp()];
    first.handle = (_, response) => response.end('first');
    second.handle = (_, response) => response.end('second');
    const edge = await startEdge(fixture, { upstreams: [first.port], flags: ['--workers', '2'] });
    const marks: number[][] = Array.from({ length: 12 }, () => []);
    let running = true;
    const lanes = marks.map(async (seen) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (running) {
        const { status, headers } = await ask({ port: edge.port, path: '/', agent });
        expect(status).toBe(200);
        seen.push(Number(headers['x-mark'] ?? 0));
      }
      agent.destroy();
    });
    for (let mark = 1; mark <= 40; mark++) await edge.apply(`{kind: Policy, name: mark, target: {gateway: edge}, transform: {response: {headers: {set: {x-mark: "${mark}"}}}}}`);
    // The answer of the write came after the swap of all threads: whoever connects now sees it.
    expect(new Set((await Promise.all(Array.from({ length: 20 }, () => alone(edge.port)))).map(({ headers }) => headers['x-mark']))).toEqual(new Set(['40']));
    running = false;
    await Promise.all(lanes);
    for (const seen of marks) expect(seen).toEqual([...seen].sort((a, b) => a - b));
    await edge.apply(ordersAt([second.port]));
    await until('all threads use the new endpoint', async () => (await Promise.all(Array.from({ length: 16 }, () => alone(edge.port)))).map(({ body }) => body), (bodies) => bodies.every((body) => body === 'second'));
  });

  test('one that dies is replaced under load, counted, and its requests are not counted as active for ever', async () => {
    const app = await startApp();
    const inspector = await freePort();
    const edge = await startEdge(fixture, { upstreams: [app.port], flags: ['--workers', '2'], nodeFlags: [`--inspect=127.0.0.1:${inspector}`] });
    app.handle = () => {};
    // Calls that are under way in both threads when one dies.
    const hanging = Array.from({ length: 40 }, () => {
      const outgoing = get({ port: edge.port, host: '127.0.0.1', agent: false });
      outgoing.on('error', () => {});
      return outgoing;
    });
    await until('the calls have come', () => app.complete.length, (count) => count === 40);
    await crashOneThread(inspector);
    app.handle = null;
    const threads = await until('there are two again', () => threadsOf(edge.gateway), (found) => found.length === 2 && found.every(({ listeners, snapshot }) => listeners.length === 1 && snapshot !== null));
    expect(new Set(threads.map(({ snapshot }) => snapshot?.hash)).size).toBe(1);
    for (const outgoing of hanging) outgoing.destroy();
    for (let i = 0; i < 30; i++) await cleanRequest(edge.port);
    const metrics = async (): Promise<string> => await (await fetch(`http://127.0.0.1:${edge.gateway.ports['admin']}/metrics`)).text();
    expect(await metrics()).toMatch(/^remora_data_thread_deaths_total 1$/m);
    // The survivor's calls are half-closed until the app answers or the limit comes; those of the dead one are gone at once.
    const active = [...(await metrics()).matchAll(/^remora_active_requests\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
    expect(active).toBeLessThan(40);
  });
});

interface InspectorMessage { readonly method?: string; readonly params?: { readonly sessionId?: string; readonly workerInfo?: { readonly title: string } } }

/** Ends one data thread from within, through the inspector: as a bug would. */
async function crashOneThread(port: number): Promise<void> {
  const [target] = await (await fetch(`http://127.0.0.1:${port}/json`)).json() as readonly { readonly webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? '');
  const done = Promise.withResolvers<void>();
  let sent = false;
  socket.addEventListener('open', () => socket.send(JSON.stringify({ id: 1, method: 'NodeWorker.enable', params: { waitForDebuggerOnStart: false } })));
  socket.addEventListener('error', () => done.reject(new Error('the inspector cannot be reached')));
  socket.addEventListener('message', ({ data }) => {
    const { method, params } = JSON.parse(String(data)) as InspectorMessage;
    if (method === 'NodeWorker.attachedToWorker' && !sent) {
      sent = true;
      const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'process.exit(7)' } });
      socket.send(JSON.stringify({ id: 2, method: 'NodeWorker.sendMessageToWorker', params: { sessionId: params?.sessionId, message } }));
    }
    if (method === 'NodeWorker.detachedFromWorker') done.resolve();
  });
  await done.promise;
  socket.close();
}
