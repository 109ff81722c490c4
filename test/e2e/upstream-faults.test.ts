import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { okAnswer, onHead, RawUpstream, type Behaviour } from '../processes/raw-upstream.ts';
import { ask as askKept, type Answer } from '../processes/traffic.ts';
import { until } from '../processes/until.ts';
import { startEdge, untilQuiet, type Edge } from './edge.ts';
import { Fixture } from './fixture.ts';

/** On a connection of its own. */
const ask: typeof askKept = (options) => askKept({ ...options, headers: { ...options.headers, connection: 'close' } });

const good: Behaviour = onHead((socket) => socket.write(okAnswer));
const says = (text: string): Behaviour => onHead((socket) => socket.write(Buffer.from(text, 'latin1')));

interface Fault {
  readonly what: string;
  readonly behave: Behaviour;
  /** What requests get that may not be repeated: `status reason`. Those that may be are answered by the other instance. */
  readonly told: string;
}

const faults: readonly Fault[] = [
  { what: 'resets before it answers', behave: onHead((socket) => socket.resetAndDestroy()), told: '502 upstream-reset' },
  { what: 'closes before it answers', behave: onHead((socket) => socket.end()), told: '502 upstream-reset' },
  { what: 'closes within the head', behave: onHead((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-le')), told: '502 upstream-reset' },
  { what: 'does not answer', behave: () => {}, told: '504 upstream-timeout' },
  { what: 'goes silent within the head', behave: says('HTTP/1.1 200 OK\r\ncontent-le'), told: '504 upstream-timeout' },
  { what: 'answers a byte at a time', behave: onHead((socket) => drip(socket)), told: '504 upstream-timeout' },
  { what: 'answers 503', behave: says('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno'), told: '503 ' },
  { what: 'floods with interim answers', behave: says('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(2_000)), told: '502 upstream-protocol-error' },
  { what: 'never ends its fields', behave: says(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(50_000)}`), told: '502 upstream-protocol-error' },
  { what: 'is no HTTP', behave: says('SSH-2.0-OpenSSH_9.6\r\n'), told: '502 upstream-protocol-error' },
];

function drip(socket: Parameters<Behaviour>[0]): void {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.destroyed || at === okAnswer.length) clearInterval(timer);
    else socket.write(okAnswer.slice(at, ++at));
  }, 100);
  timer.unref();
}

/**
 * faults.md 8 with everything on that could make one request several: retries, hedging, a mirror, ejection. One of two instances of orders misbehaves, and the service that gets
 * the copies never answers at all.
 */
describe('an instance that misbehaves, with retries, hedging, a mirror and ejection', () => {
  const fixture = new Fixture();
  let bad: RawUpstream;
  let other: RawUpstream;
  let copies: RawUpstream;
  let lost: readonly RawUpstream[];
  let edge: Edge;

  const policy = (service: string, budget: string): string => `
kind: Policy
name: ${service}-everything
target: {service: ${service}}
timeout: {connect: 3s, request: 12s, perTry: 3s, idle: 4s}
retry: {retries: 2, retryOn: [connect-failure, reset, refused-stream, gateway-error], backoff: {base: 1ms, max: 5ms}, budget: ${budget}}
hedging: {delay: 200ms}
mirror: {to: {service: copies}, outstanding: 20}
loadBalancing: {algorithm: roundRobin}
outlierDetection: {consecutive5xx: 3, consecutiveLocalFailures: 3, baseEjection: 100ms, maxEjection: 100ms, maxEjected: 50%}
`;

  beforeAll(async () => {
    [bad, other, copies] = [await RawUpstream.start(good), await RawUpstream.start(good), await RawUpstream.start(() => {})];
    const reset = onHead((socket) => socket.resetAndDestroy());
    lost = [await RawUpstream.start(reset), await RawUpstream.start(reset), await RawUpstream.start(reset)];
    edge = await startEdge(fixture, {
      upstreams: [bad.port, other.port],
      documents: [
        `{kind: Service, name: copies, ports: {http: {port: 80}}, endpoints: [{address: 127.0.0.1, port: ${copies.port}}]}`,
        '{kind: Route, name: copies, gateway: edge, match: {path: {prefix: /copies}}, to: [{service: copies}]}',
        policy('orders', '{ratio: 100%, minPerSecond: 1000}'),
        `{kind: Service, name: lost, ports: {http: {port: 80}}, endpoints: [${lost.map(({ port }) => `{address: 127.0.0.1, port: ${port}}`).join(', ')}]}`,
        '{kind: Route, name: lost, gateway: edge, match: {path: {prefix: /lost}}, to: [{service: lost}]}',
        policy('lost', '{ratio: 20%, minPerSecond: 1}'),
      ].join('\n---\n'),
    });
  });

  beforeEach(async () => {
    for (const upstream of [bad, other]) await begin(upstream, good);
    copies.received = '';
  });

  afterAll(async () => {
    await fixture.end();
    await Promise.all([bad, other, copies, ...lost].map((upstream) => upstream.close()));
  });

  async function begin(upstream: RawUpstream, behave: Behaviour): Promise<void> {
    upstream.behave = behave;
    upstream.drop();
    await until('its connections have gone', () => upstream.open, (open) => open === 0);
    upstream.received = '';
  }

  /** Sends such requests until the misbehaving instance has had one of them, and a dozen at least. Each has a path of its own. */
  async function send(method: string, headers: Readonly<Record<string, string>> = {}): Promise<readonly { readonly path: string; readonly answer: Answer }[]> {
    const sent: { readonly path: string; readonly answer: Answer }[] = [];
    await until('the instance that misbehaves has been asked', async () => {
      const paths = Array.from({ length: 6 }, (_, i) => `/${method.toLowerCase()}-${Object.keys(headers).length}-${sent.length + i}x`);
      sent.push(...await Promise.all(paths.map(async (path) => ({ path, answer: await ask({ port: edge.port, path, method, headers }) }))));
      return sent;
    }, (all) => all.length >= 12 && all.some(({ path }) => bad.received.includes(`${method} ${path} `)), 60_000);
    return sent;
  }

  const times = (upstream: RawUpstream, path: string): number => upstream.received.split(` ${path} `).length - 1;
  const outcome = ({ status, headers }: Answer): string => `${status} ${String(headers['x-remora-reason'] ?? '')}`;

  test.each(faults)('$what: the right answer, nothing unsafe twice', async ({ behave, told }) => {
    await begin(bad, behave);
    const gets = await send('GET');
    const posts = await send('POST');
    const keyed = await send('POST', { 'idempotency-key': 'k' });
    for (const { answer } of [...gets, ...keyed]) expect(outcome(answer)).toBe('200 ');
    // Whoever may not be repeated is told what happened, and has been nowhere twice.
    for (const { answer } of posts) expect(['200 ', told]).toContain(outcome(answer));
    expect(posts.filter(({ path }) => times(bad, path) + times(other, path) !== 1)).toEqual([]);
    expect(posts.filter(({ path, answer }) => times(bad, path) > 0 && outcome(answer) !== told)).toEqual([]);
    // The first attempt, its retries, and a hedge.
    for (const { path } of [...gets, ...keyed]) expect(times(bad, path) + times(other, path)).toBeLessThanOrEqual(4);
    for (const { path, answer } of [...gets, ...posts, ...keyed]) {
      expect(times(copies, path)).toBeLessThanOrEqual(1);
      expect(answer.error).toBe('');
    }
    expect(copies.received.split('\r\nx-remora-mirror: ').length).toBe(copies.received.split(' HTTP/1.1\r\n').length);
  });

  test.each([
    ['a length', 'content-length: 100\r\n\r\npart'], ['chunks', 'transfer-encoding: chunked\r\n\r\n4\r\npart\r\n'],
  ])('resets within a body of %s: the client can tell, and nobody is asked again', async (_, rest) => {
    await begin(bad, onHead((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\n${rest}`, () => setImmediate(() => socket.resetAndDestroy()));
    }));
    const gets = await send('GET');
    for (const { path, answer } of gets) {
      const both = times(bad, path) > 0 && times(other, path) > 0;
      // Where the first answer took longer than the delay of hedging, the other instance is asked too, and whoever begins to answer first decides.
      if (both) expect([answer.elapsedMs >= 200, ['0 ', '200 ok'].includes(`${answer.status} ${answer.body}`)]).toEqual([true, true]);
      else expect([answer.status, answer.body]).toEqual(times(bad, path) > 0 ? [0, ''] : [200, 'ok']);
    }
    expect(gets.some(({ answer }) => answer.status === 0)).toBe(true);
  });

  test('who misbehaved was ejected for it, and is asked again when it behaves', async () => {
    const before = await events();
    await begin(bad, onHead((socket) => socket.resetAndDestroy()));
    await until('it is ejected', async () => {
      await send('GET');
      return events();
    }, (text) => ejections(text) > ejections(before), 60_000);
    await begin(bad, good);
    const again = await send('GET');
    expect(again.filter(({ answer }) => outcome(answer) !== '200 ')).toEqual([]);
  });

  test('all instances of a service misbehave: retries and hedges together stay within its budget', async () => {
    const count = 400;
    const from = performance.now();
    const answers: Answer[] = [];
    while (answers.length < count) answers.push(...await Promise.all(Array.from({ length: 8 }, () => ask({ port: edge.port, path: '/lost' }))));
    const seconds = (performance.now() - from) / 1_000;
    const attempts = lost.reduce((sum, upstream) => sum + times(upstream, '/lost'), 0);
    for (const answer of answers) expect(['502 upstream-reset', '503 no-healthy-upstream']).toContain(outcome(answer));
    // A fifth of the requests, one in each second, and ten seconds of these to begin with.
    expect(attempts).toBeLessThanOrEqual(count * 1.2 + seconds + 10);
    expect(attempts).toBeGreaterThan(count);
  });

  test('in the end nothing is left under way', async () => {
    copies.drop();
    await untilQuiet(edge.gateway);
    expect(edge.gateway.process.exitCode).toBeNull();
  });

  async function events(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${edge.gateway.ports['admin']}/metrics`)).text();
  }
});

/** Of all callers' hosts so far. */
function ejections(metrics: string): number {
  return [...metrics.matchAll(/^remora_policy_events_total\{[^}]*event="ejected"[^}]*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}
