import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort } from '@remora/testing/free-port';
import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { faultAuthoring } from '@remora/policy-fault/compile';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { retryAuthoring } from '@remora/policy-retry/compile';
import { timeoutAuthoring } from '@remora/policy-timeout/compile';
import { transformAuthoring } from '@remora/policy-transform/compile';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { afterEach, describe, expect, test } from 'vitest';
import { LocalDataPlane } from './threads/local-data-plane.ts';
import { runtimeKinds } from './kinds.ts';

/** The kinds in a running data plane: a gateway before instances of one service, everything on loopback sockets. */
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Sections = Readonly<Record<string, JsonObject>>;
const authoring = new Map<string, AuthoringKind>([faultAuthoring, rateLimitAuthoring, retryAuthoring, timeoutAuthoring, transformAuthoring].map((kind) => [kind.name, kind]));

interface Answered {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

class Gateway {
  readonly plane = new LocalDataPlane({ nodeId: 'edge-1', kinds: runtimeKinds });
  port = 0;
  #index = 0;

  async start(ports: readonly number[]): Promise<void> {
    closers.push(() => this.plane.close());
    const [bound] = await this.plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
    this.port = bound?.port ?? 0;
    const endpoints = ports.map((port, i) => ({ id: `orders-${i}`, weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port }] }));
    await this.plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints })).finish()] });
  }

  async apply(provider: Sections, caller: Sections, shadow = false): Promise<void> {
    const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet().listener({ name: 'plain' });
    const settings = (sections: Sections): Buffer => builder.settings(...Object.entries(sections).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, section]) => {
      const known = authoring.get(kind);
      if (!known) throw new Error(`no kind ${kind}`);
      const { minFormat, body } = known.compile(effectiveSection(known, section));
      return { kind, minFormat, body: Buffer.from(body), shadow };
    }));
    builder.destination({ service: 'orders', settings: settings(caller) });
    builder.route({ name: 'all', settings: settings(provider), match: { path: { kind: { $case: 'prefix', value: '/' } } } });
    const candidate = builder.build({ epoch: 1, index: ++this.#index });
    expect(await this.plane.prepare(candidate)).toMatchObject({ ok: true });
    await this.plane.swap(candidate.hash, candidate.version);
  }

  send(target = '/', options: http.RequestOptions & { body?: string } = {}): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: this.port, path: target, agent: false, ...options }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }));
        response.on('error', reject);
      });
      request.on('error', reject);
      request.end(options.body);
    });
  }
}

async function gateway(...ports: readonly number[]): Promise<Gateway> {
  const made = new Gateway();
  await made.start(ports);
  return made;
}

/** An instance; echoes what it gets unless told otherwise. Answers its port. */
async function instance(handle: http.RequestListener = echo): Promise<number> {
  const server = http.createServer(handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function echo(request: http.IncomingMessage, response: http.ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => response.end(JSON.stringify({ target: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() })));
}

const quick = { backoff: { base: '1ms', max: '2ms' }, budget: { ratio: 1, minPerSecond: 1000 } };

describe('retry', () => {
  test('hides an instance that refuses connections, for every method, bodies included', async () => {
    const edge = await gateway(await freePort(), await instance());
    await edge.apply({}, { retry: quick });
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => edge.send('/', { method: 'POST', body: `body ${i}` })));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
    expect(answers.map((answer) => (JSON.parse(answer.body) as { body: string }).body)).toEqual(answers.map((_, i) => `body ${i}`));
  });

  test('sends a body again after a 503, and says which attempt it is', async () => {
    let calls = 0;
    const edge = await gateway(await instance((request, response) => {
      calls += 1;
      if (calls > 1) return echo(request, response);
      request.resume();
      request.on('end', () => response.writeHead(503).end('busy'));
    }));
    await edge.apply({}, { retry: { ...quick, retryOn: [503] } });
    const answer = await edge.send('/', { method: 'PUT', body: 'x'.repeat(20_000) });
    const seen = JSON.parse(answer.body) as { body: string; headers: Record<string, string> };
    expect(answer.status).toBe(200);
    expect(seen.body).toBe('x'.repeat(20_000));
    expect(seen.headers['x-remora-attempt']).toBe('2');
  });

  test('passes the last answer on where attempts are used up, and does not try a POST again', async () => {
    let calls = 0;
    const edge = await gateway(await instance((request, response) => {
      calls += 1;
      request.resume();
      response.writeHead(503, { 'x-call': String(calls) }).end('busy');
    }));
    await edge.apply({}, { retry: { ...quick, retries: 2, retryOn: [503] } });
    expect(await edge.send()).toMatchObject({ status: 503, headers: { 'x-call': '3' }, body: 'busy' });
    expect(await edge.send('/', { method: 'POST', body: 'a' })).toMatchObject({ status: 503, headers: { 'x-call': '4' } });
  });

  test('tries again where an attempt ran out of its time', async () => {
    let calls = 0;
    const edge = await gateway(await instance((request, response) => {
      calls += 1;
      if (calls > 1) echo(request, response);
    }));
    await edge.apply({}, { retry: { ...quick, retryOn: ['reset'] }, timeout: { request: '20s', perTry: '600ms' } });
    expect((await edge.send()).status).toBe(200);
    expect(calls).toBe(2);
  });
});

describe('timeout', () => {
  test('answers 504 where no response begins in time, and tells the instance how long it waits', async () => {
    let deadline: string | undefined;
    const edge = await gateway(await instance((request) => {
      deadline = request.headers['x-remora-deadline'] as string;
    }));
    await edge.apply({}, { timeout: { request: '300ms' } });
    const answer = await edge.send();
    expect(answer.status).toBe(504);
    expect(answer.body).toContain('upstream-timeout');
    // What is left when it is asked: a busy machine may have used some of it.
    expect(deadline).toMatch(/^\d+$/);
    expect(Number(deadline)).toBeGreaterThan(0);
    expect(Number(deadline)).toBeLessThanOrEqual(300);
  });

  test('leaves a response that streams alone, and cuts one that goes silent', async () => {
    const edge = await gateway(await instance((request, response) => {
      response.write('a');
      if (request.url === '/silent') return;
      let left = 10;
      const timer = setInterval(() => {
        left -= 1;
        if (left === 0) {
          clearInterval(timer);
          response.end('z');
        } else response.write('b');
      }, 60);
    }));
    // The app runs in this thread too: on a busy machine it is late by itself, and then rightly cut where idle is not much longer than its pauses.
    await edge.apply({}, { timeout: { request: '500ms', idle: '1s' } });
    expect((await edge.send('/stream')).body).toBe(`a${'b'.repeat(9)}z`);
    await expect(edge.send('/silent')).rejects.toThrow(/aborted|socket hang up|ECONNRESET/);
  });
});

describe('rateLimit', () => {
  const limits = { perIp: { requests: 2, per: '1h', key: ['clientAddress'] } };

  test('refuses beyond the limit, with its reason; counts survive a new snapshot', async () => {
    const edge = await gateway(await instance());
    await edge.apply({ rateLimit: { limits } }, {});
    expect((await edge.send()).headers['ratelimit']).toBe('"perIp";r=1;t=1800');
    await edge.apply({ rateLimit: { limits }, transform: { response: { headers: { set: { 'x-new': '1' } } } } }, {});
    expect(await edge.send()).toMatchObject({ status: 200, headers: { 'x-new': '1' } });
    const refused = await edge.send();
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '1800', 'content-type': expect.stringContaining('problem+json') as string } });
    expect(refused.body).toContain('rate-limited');
  });

  test('in shadow refuses nothing and leaves no trace', async () => {
    const edge = await gateway(await instance());
    await edge.apply({ rateLimit: { limits } }, {}, true);
    const answers = [await edge.send(), await edge.send(), await edge.send()];
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    expect(answers.some((answer) => 'ratelimit' in answer.headers)).toBe(false);
  });

  test('a leaky bucket lets requests through one after the other', async () => {
    const edge = await gateway(await instance());
    await edge.apply({ rateLimit: { limits: { smooth: { algorithm: 'leakyBucket', requests: 20, per: '1s', burst: 3 } } } }, {});
    const startedAt = performance.now();
    const answers = await Promise.all(Array.from({ length: 40 }, () => edge.send()));
    const elapsedMs = performance.now() - startedAt;
    const passed = answers.filter(({ status }) => status === 200).length;
    // One at once, three wait for a place of 50 ms each; a slow machine has more places.
    expect(passed).toBeGreaterThanOrEqual(4);
    expect(passed).toBeLessThanOrEqual(4 + Math.ceil(elapsedMs / 50));
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(answers.length - passed);
    expect(elapsedMs).toBeGreaterThan(130);
  });
});

test('fault delays and aborts, transform edits what passes', async () => {
  const edge = await gateway(await instance());
  const until = new Date(Date.now() + 3_600_000).toISOString();
  await edge.apply({
    fault: { faults: { broken: { until, delay: { duration: '60ms' }, abort: { status: 502 }, match: { headers: { 'x-chaos': { present: true } } } } } },
    transform: { request: { headers: { set: { 'x-gateway': '${request.path}' }, remove: { 'x-debug': true } }, query: { add: { page: '1' } } }, response: { headers: { set: { 'x-status': '${response.status}' } } } },
  }, {});
  const startedAt = performance.now();
  const aborted = await edge.send('/', { headers: { 'x-chaos': '1' } });
  expect(performance.now() - startedAt).toBeGreaterThan(50);
  expect(aborted).toMatchObject({ status: 502 });
  expect(aborted.body).toContain('fault-injected');
  const passed = await edge.send('/a', { headers: { 'x-debug': '1' } });
  const seen = JSON.parse(passed.body) as { target: string; headers: Record<string, string> };
  expect(seen).toMatchObject({ target: '/a?page=1', headers: { 'x-gateway': '/a' } });
  expect(seen.headers).not.toHaveProperty('x-debug');
  expect(passed.headers['x-status']).toBe('200');
});
