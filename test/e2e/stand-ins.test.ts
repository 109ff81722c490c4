import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RunningControlPlane, RunningSidecar } from '../processes/remora.ts';
import { until } from '../processes/until.ts';
import { Fixture } from './fixture.ts';

type Behave = (seen: Seen, response: ServerResponse) => void;

interface Seen {
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** An instance that does what the test says, and remembers what it was asked. */
class Instance {
  readonly seen: Seen[] = [];
  behave: Behave = good('');
  /** Requests whose connection broke before they were answered. */
  broken = 0;
  port = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((incoming, response) => {
      let body = '';
      response.on('close', () => { this.broken += response.writableFinished ? 0 : 1; });
      incoming.setEncoding('utf8').on('data', (text: string) => { body += text; }).on('end', () => {
        const seen = { method: incoming.method ?? '', headers: incoming.headers, body };
        this.seen.push(seen);
        this.behave(seen, response);
      });
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => { this.#server.listen(0, '127.0.0.1', resolve); });
    const address = this.#server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    return this;
  }

  forget(): void {
    this.seen.length = 0;
    this.broken = 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }
}

function good(text: string): Behave {
  return (_seen, response) => void response.setHeader('content-type', 'text/plain').end(text);
}

const failing: Behave = (_seen, response) => void response.writeHead(503).end('sorry');
const silent: Behave = () => {};

/** `fallback`, `mirror` and `hedging` in a real sidecar: `web` calls `payments`, of which there are two, and may call `payments-b`. */
describe('what stands in for a call, and beside it', () => {
  const fixture = new Fixture();
  let controlPlane: RunningControlPlane;
  let web: RunningSidecar;
  let one: Instance;
  let two: Instance;
  let other: Instance;

  beforeAll(async () => {
    [one, two, other] = [await new Instance().listen(), await new Instance().listen(), await new Instance().listen()];
    controlPlane = await fixture.controlPlane({ bundled: false });
    await controlPlane.apply(`
{kind: Service, name: web, ports: {http: {port: 80}}, dependsOn: [payments, payments-b]}
---
{kind: Service, name: payments, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${one.port}}, {address: 127.0.0.1, port: ${two.port}}]}
---
{kind: Service, name: payments-b, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${other.port}}]}
`);
    web = await fixture.sidecar(['--service', 'web', '--control-plane', controlPlane.push, '--app', '127.0.0.1:1', '--inbound', '0', '--outbound', '0'], { bundled: false });
    await until('the sidecar serves', () => ask('GET', '/'), ({ status }) => status === 200, 30_000);
  });

  afterEach(async () => {
    for (const instance of [one, two, other]) {
      instance.behave = good('');
      instance.forget();
    }
    await controlPlane.apply('{kind: Policy, name: p, target: {service: payments}, timeout: {idle: 61s}}', '?wait=applied&timeout=60s');
  });

  afterAll(async () => {
    await fixture.end();
    await Promise.all([one, two, other].map((instance) => instance.close()));
  });

  interface Got {
    readonly status: number;
    readonly headers: IncomingMessage['headers'];
    readonly body: string;
    readonly elapsedMs: number;
  }

  function ask(method: string, path: string, { body = '', headers = {} }: { readonly body?: string; readonly headers?: Record<string, string> } = {}): Promise<Got> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port: web.ports['outbound'], method, path, headers: { ...headers, host: 'payments' } }, (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (part: string) => { text += part; });
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: text, elapsedMs: performance.now() - started }));
        incoming.on('error', reject);
      });
      outgoing.on('error', reject).end(body);
    });
  }

  async function policy(sections: string): Promise<void> {
    const answer = JSON.stringify(await controlPlane.apply(`{kind: Policy, name: p, target: {service: payments}, ${sections}}`, '?wait=applied&timeout=60s'));
    if (answer.includes('"timedOut":true') || answer.includes('"refused":[{')) throw new Error(`not enforced: ${answer.slice(0, 1000)}`);
  }

  async function counted(event: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${web.ports['admin']}/metrics`)).text();
    const [kind, name] = event.split('/');
    return Number(new RegExp(`remora_policy_events_total\\{[^}]*kind="${kind}"[^}]*event="${name}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0);
  }

  test('another destination gets a call with its body, the fixed answer what that one fails at', async () => {
    await policy('retry: {retries: 0}, fallback: {to: {service: payments-b}, answer: {status: 202, body: "later (${reason.code})"}}');
    for (const instance of [one, two]) instance.behave = failing;
    other.behave = good('theirs');
    const theirs = await ask('POST', '/pay', { body: 'x'.repeat(50_000) });
    expect([theirs.status, theirs.body, theirs.headers['x-remora-fallback']]).toEqual([200, 'theirs', 'service']);
    expect(other.seen.map(({ method, body, headers }) => [method, body.length, headers.host])).toEqual([['POST', 50_000, 'payments-b']]);
    other.behave = failing;
    const fixed = await ask('POST', '/pay', { body: 'again' });
    expect([fixed.status, fixed.body, fixed.headers['x-remora-fallback'], fixed.headers['x-remora-origin']]).toEqual([202, 'later (destination-failed)', 'answer', 'remora']);
    const newest = async (): Promise<object> => (await (await fetch(`http://127.0.0.1:${web.ports['admin']}/refusals`)).json() as { readonly refusals: readonly object[] }).refusals[0] ?? {};
    const refusal = await until('the reason is told', newest, (told) => 'status' in told && told.status === 202);
    expect(refusal).toMatchObject({ reason: 'destination-failed', detail: 'payments answered 503' });
    expect([await counted('fallback/redirected'), await counted('fallback/answered')]).toEqual([2, 1]);
  });

  test('the last good answer is told with its age while the destination is silent', async () => {
    await policy('timeout: {request: 500ms}, retry: {retries: 0}, fallback: {stale: {maxAge: 1h}}');
    for (const instance of [one, two]) instance.behave = good('rates of today');
    await until('a good answer came in time', () => ask('GET', '/rates?of=today'), ({ body, headers }) => body === 'rates of today' && headers['x-remora-fallback'] === undefined);
    for (const instance of [one, two]) instance.behave = silent;
    const stale = await ask('GET', '/rates?of=today');
    expect([stale.status, stale.body, stale.headers['x-remora-fallback']]).toEqual([200, 'rates of today', 'stale']);
    expect(Number(stale.headers['age'])).toBeGreaterThanOrEqual(0);
    expect((await ask('GET', '/rates?of=yesterday')).status).toBe(504);
    expect((await ask('GET', '/rates?of=today', { headers: { authorization: 'Bearer x' } })).status).toBe(504);
  });

  test('a fixed answer stands in for an open breaker and for a call that ran out of time, and says why', async () => {
    await policy('timeout: {request: 200ms}, retry: {retries: 0}, outlierDetection: {consecutive5xx: 0, consecutiveLocalFailures: 0}, circuitBreaker: {consecutiveFailures: 3, open: {base: 1m, max: 1m}}, fallback: {answer: {status: 203, body: "${reason.code}"}}');
    for (const instance of [one, two]) instance.behave = silent;
    const first = await ask('GET', '/');
    expect([first.status, first.body, first.headers['x-remora-fallback']]).toEqual([203, 'upstream-timeout', 'answer']);
    const open = await until('the breaker is open', () => ask('GET', '/'), ({ body }) => body === 'circuit-open');
    expect([open.status, open.headers['x-remora-fallback']]).toEqual([203, 'answer']);
  });

  test('copies go elsewhere, and hold nothing up where they are never answered', async () => {
    await policy('mirror: {to: {service: payments-b}, outstanding: 5}');
    for (const instance of [one, two]) instance.behave = good('mine');
    other.behave = silent;
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask('POST', `/pay/${i}`, { body: `body ${i}`, headers: { 'x-tenant': 'blue' } })));
    expect(answers.every(({ status, body, headers }) => status === 200 && body === 'mine' && headers['x-remora-fallback'] === undefined)).toBe(true);
    await until('the copies have come', () => Promise.resolve(other.seen.length), (count) => count === 5);
    for (const { headers, body } of other.seen) expect([headers['x-remora-mirror'], headers['x-tenant'], headers.host, body.startsWith('body ')]).toEqual(['1', 'blue', 'payments-b', true]);
    expect(one.seen.concat(two.seen).every(({ headers }) => headers['x-remora-mirror'] === undefined)).toBe(true);
    expect([await counted('mirror/sent'), await counted('mirror/dropped')]).toEqual([5, 15]);
  });

  test('a second try is made where the first instance is silent, and the first is cancelled', async () => {
    await policy('retry: {retries: 0, budget: {ratio: 100%, minPerSecond: 1000}}, hedging: {delay: 20ms}');
    one.behave = good('quick');
    two.behave = silent;
    const answers: Got[] = [];
    for (let i = 0; i < 30; i++) answers.push(await ask(i % 2 === 0 ? 'GET' : 'PUT', '/read', { body: i % 2 === 0 ? '' : 'put' }));
    expect(answers.every(({ status, body }) => status === 200 && body === 'quick')).toBe(true);
    await until('cancelled tries are gone', () => Promise.resolve(two.broken), (broken) => broken === two.seen.length);
    // Where the silent one was asked there were two tries; a second one at the other instance is what was answered. A try that was cancelled may have been on its way to either.
    const [hedged, won] = [await counted('hedging/hedged'), await counted('hedging/won')];
    expect(hedged).toBeGreaterThanOrEqual(Math.max(two.seen.length, won));
    expect(won).toBe(one.seen.filter(({ headers }) => headers['x-remora-attempt'] === '2').length);
    expect(one.seen.filter(({ headers }) => headers['x-remora-attempt'] === '2').map(({ body, method }) => [method, body]).every(([method, body]) => body === (method === 'PUT' ? 'put' : ''))).toBe(true);
  });
});
