import { once } from 'node:events';
import http from 'node:http';
import { Session, type NodeWorker } from 'node:inspector';
import type { AddressInfo } from 'node:net';
import type { JsonObject } from '@remora/core/canonical-json';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { hostHealth, type HostHealth } from '@remora/policy-kit/host-states';
import { rateLimitAuthoring } from '@remora/policy-rate-limit/compile';
import { transformAuthoring } from '@remora/policy-transform/compile';
import { EndpointSet } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { Candidate } from '@remora/snapshot/candidate';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { afterEach, describe, expect, test } from 'vitest';
import { WorkerDataPlane } from './worker-data-plane.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Data threads of this process, as the inspector sees them: the only way to end one from outside. */
class Threads {
  readonly #session = new Session();
  readonly #ids: string[] = [];

  constructor() {
    this.#session.connect();
    closers.push(() => this.#session.disconnect());
    this.#session.on('NodeWorker.attachedToWorker', ({ params }: { params: NodeWorker.AttachedToWorkerEventDataType }) => this.#ids.push(params.sessionId));
    this.#session.on('NodeWorker.detachedFromWorker', ({ params }: { params: NodeWorker.DetachedFromWorkerEventDataType }) => {
      const at = this.#ids.indexOf(params.sessionId);
      if (at >= 0) this.#ids.splice(at, 1);
    });
    this.#session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  }

  /** Ends the oldest one from within, as a crash would. */
  crash(): void {
    const sessionId = this.#ids.shift() ?? '';
    this.#session.post('NodeWorker.sendMessageToWorker', { sessionId, message: JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'process.exit(7)' } }) });
  }
}

async function startApp(): Promise<number> {
  const app = http.createServer((_, response) => response.end('ok'));
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  closers.push(() => {
    app.closeAllConnections();
    app.close();
  });
  return (app.address() as AddressInfo).port;
}

const kinds = new Map<string, AuthoringKind>([rateLimitAuthoring, transformAuthoring].map((kind) => [kind.name, kind]));

function candidate(index: number, sections: Readonly<Record<string, JsonObject>>): Candidate {
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' }).fleet().listener({ name: 'plain' }).destination({ service: 'orders' });
  const compiled = Object.entries(sections).map(([name, section]) => {
    const kind = kinds.get(name);
    if (kind === undefined) throw new Error(`no kind ${name}`);
    const { minFormat, body } = kind.compile(effectiveSection(kind, section));
    return { kind: name, minFormat, body: Buffer.from(body) };
  });
  return builder.route({ name: 'all', settings: builder.settings(...compiled), match: { path: { kind: { $case: 'prefix', value: '/' } } } }).build({ epoch: 1, index });
}

async function startPlane(app: number): Promise<{ readonly plane: WorkerDataPlane; readonly port: number }> {
  const plane = await WorkerDataPlane.start({ workers: 2, subject: { kind: 'gateway', name: 'edge' }, withoutKinds: [] });
  closers.push(() => plane.close());
  const [bound] = await plane.listen([{ name: 'gateway/plain', side: 'gateway', host: '127.0.0.1', port: 0, portName: 'plain' }]);
  const endpoints = [{ id: 'orders-0', weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port: app }] }];
  await plane.applyEndpoints({ full: true, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints })).finish()] });
  return { plane, port: bound?.port ?? 0 };
}

async function apply(plane: WorkerDataPlane, next: Candidate): Promise<void> {
  expect(await plane.prepare(next)).toMatchObject({ ok: true });
  await plane.swap(next.hash, next.version);
}

/** On a connection of its own, so that the kernel chooses the thread. */
function ask(port: number): Promise<{ readonly status: number; readonly mark: string }> {
  return new Promise((resolve) => {
    http.get({ host: '127.0.0.1', port, agent: false, headers: { connection: 'close' } }, (response) => {
      response.resume().once('end', () => resolve({ status: response.statusCode ?? 0, mark: String(response.headers['x-mark'] ?? '') }));
    }).once('error', () => resolve({ status: 0, mark: '' }));
  });
}

interface Described {
  readonly threads: readonly { readonly snapshot: { readonly hash: string } | null; readonly listeners: readonly object[] }[];
  readonly deaths: number;
  readonly sharedMemories: number;
}

async function untilThreads(plane: WorkerDataPlane, deaths: number): Promise<Described> {
  for (const end = performance.now() + 30_000; ;) {
    const described = await plane.describe() as Described;
    if (described.threads.length === 2 && described.deaths >= deaths) return described;
    if (performance.now() > end) throw new Error(`the threads did not come back: ${JSON.stringify(described)}`);
    await new Promise((resolve) => { setTimeout(resolve, 10); });
  }
}

const limit = (requests: number): JsonObject => ({ limits: { all: { requests, per: '1h', algorithm: 'fixedWindow' } } });

describe('data threads', () => {
  test('count a limit once over all of them', async () => {
    const { plane, port } = await startPlane(await startApp());
    await apply(plane, candidate(1, { rateLimit: limit(50) }));
    const answers = await Promise.all(Array.from({ length: 120 }, () => ask(port)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(50);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(70);
    await apply(plane, candidate(2, { rateLimit: limit(60) }));
    // Two of limits, one of balancers, and the old limits'.
    expect(await plane.describe()).toMatchObject({ sharedMemories: 4 });
    await apply(plane, candidate(3, { transform: { response: { headers: { set: { 'x-mark': 'none' } } } } }));
    expect(await plane.describe()).toMatchObject({ sharedMemories: 1 });
  });

  test('one that dies is replaced, counted, and counts on where the others are', async () => {
    const threads = new Threads();
    const { plane, port } = await startPlane(await startApp());
    const deaths: string[] = [];
    plane.onWorkerDeath((worker, cause) => deaths.push(`${worker}: ${cause}`));
    await apply(plane, candidate(1, { rateLimit: limit(40) }));
    const before = await Promise.all(Array.from({ length: 30 }, () => ask(port)));
    expect(before.filter(({ status }) => status === 200)).toHaveLength(30);
    threads.crash();
    const { threads: described } = await untilThreads(plane, 1);
    expect(described.map(({ snapshot, listeners }) => [snapshot?.hash, listeners.length])).toEqual(Array.from({ length: 2 }, () => [candidate(1, { rateLimit: limit(40) }).hash, 1]));
    expect(deaths).toEqual([expect.stringContaining('code 7')]);
    const after = await Promise.all(Array.from({ length: 30 }, () => ask(port)));
    expect(after.map(({ status }) => status).filter((status) => status !== 429)).toEqual(Array.from({ length: 10 }, () => 200));
    const series = plane.readSeries();
    expect(series.reduce((sum, { requests }) => sum + requests, 0)).toBe(60);
    expect(series.reduce((sum, { active }) => sum + active, 0)).toBe(0);
  });

  test('all see at once what the control thread writes of a host, also one that comes later', async () => {
    const threads = new Threads();
    const app = await startApp();
    const { plane, port } = await startPlane(app);
    await apply(plane, candidate(1, {}));
    const statuses = async (): Promise<Set<number>> => new Set((await Promise.all(Array.from({ length: 30 }, () => ask(port)))).map(({ status }) => status));
    expect(await statuses()).toEqual(new Set([200]));
    const [host] = plane.hosts.of('orders');
    plane.hosts.states.setTakenOutUntil(host?.slot ?? -1, Infinity);
    expect(await statuses()).toEqual(new Set([503]));
    threads.crash();
    await untilThreads(plane, 1);
    expect(await statuses()).toEqual(new Set([503]));
    // Another host at another slot: nothing is held against it.
    const set = (...ids: string[]): Uint8Array => EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints: ids.map((id) => ({ id, weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port: app }] })) })).finish();
    await plane.applyEndpoints({ full: false, removed: [], sets: [set('orders-1')] });
    expect(await statuses()).toEqual(new Set([200]));
    expect(plane.hosts.states.takenOutUntil(host?.slot ?? -1)).toBe(0);
  });

  test('tell one panic and one end of it between them, where no policy says who chooses', async () => {
    const app = await startApp();
    const { plane, port } = await startPlane(app);
    const events: string[] = [];
    plane.onHealth(({ events: told }) => events.push(...told.map(({ event, service }) => `${service} ${event}`)));
    const endpoints = ['orders-0', 'orders-1'].map((id) => ({ id, weight: 1, ports: [{ name: 'http', host: '127.0.0.1', port: app }] }));
    await plane.applyEndpoints({ full: false, removed: [], sets: [EndpointSet.encode(EndpointSet.fromPartial({ service: 'orders', endpoints })).finish()] });
    await apply(plane, candidate(1, {}));
    const set = (health: HostHealth): void => {
      for (const { slot } of plane.hosts.of('orders')) plane.hosts.states.setHealth(slot, health);
    };
    // For as long as it takes until the event is told, and then for twice as long as each thread waits before it tells.
    const askUntil = async (event: string): Promise<void> => {
      for (let until = Infinity; performance.now() < until;) {
        await Promise.all(Array.from({ length: 8 }, () => ask(port)));
        if (until === Infinity && events.includes(event)) until = performance.now() + 2_000;
      }
    };
    set(hostHealth.unhealthy);
    await askUntil('orders panic');
    set(hostHealth.healthy);
    await askUntil('orders panic-ended');
    expect(events).toEqual(['orders panic', 'orders panic-ended']);
  }, 60_000);

  test('deaths between prepare and swap leave nobody with something old', async () => {
    const threads = new Threads();
    const { plane, port } = await startPlane(await startApp());
    const marked = (mark: number): Candidate => candidate(mark, { transform: { response: { headers: { set: { 'x-mark': String(mark) } } } } });
    await apply(plane, marked(1));
    let applied = 1;
    for (let mark = 2; mark <= 40; mark++) {
      if (mark % 8 === 0) {
        await untilThreads(plane, 0);
        threads.crash();
      }
      const next = marked(mark);
      // A snapshot over which a thread dies is refused for the moment, and what serves stays.
      const prepared = await plane.prepare(next).catch(() => null);
      if (prepared?.ok !== true) {
        plane.discard(next.hash);
        continue;
      }
      await plane.swap(next.hash, next.version);
      applied = mark;
    }
    const { threads: described } = await untilThreads(plane, 5);
    expect(described.map(({ snapshot }) => snapshot?.hash)).toEqual([marked(applied).hash, marked(applied).hash]);
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(port)));
    expect(new Set(answers.map(({ status, mark }) => `${status} ${mark}`))).toEqual(new Set([`200 ${applied}`]));
  });
});
