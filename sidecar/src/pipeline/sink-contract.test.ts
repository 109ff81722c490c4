import { afterEach, describe, expect, it } from 'vitest';
import { retryRuntime } from '@remora/policy-retry/filter';
import { timeoutRuntime } from '@remora/policy-timeout/filter';
import { buildResponseHead } from '@remora/http/head-builder';
import type { Call, Sink, Source } from '@remora/policy-kit/exchange';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { checkedLayer } from '@remora/testing/checked-dispatch';
import { WireEnd, WireUpstream, echoRequests } from '@remora/testing/wire-end';
import { runtimeKinds } from '../kinds.ts';
import { GatewayRig } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** The contract is watched outside of the retry layer and between it and the data path. */
function watchedKinds(breaches: string[]): ReadonlyMap<string, RuntimeKind<unknown>> {
  const report = (breach: string): void => void breaches.push(breach);
  const timeout: RuntimeKind<unknown> = { ...(timeoutRuntime as RuntimeKind<unknown>), layer: () => checkedLayer(report) };
  const retry: RuntimeKind<unknown> = {
    ...(retryRuntime as RuntimeKind<unknown>),
    layer: (settings, context) => {
      const real = (retryRuntime as RuntimeKind<unknown>).layer?.(settings, context) ?? null;
      return real === null ? null : (next) => real(checkedLayer(report)(next));
    },
  };
  return new Map([...runtimeKinds, ['timeout', timeout], ['retry', retry]]);
}

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
const big = 512 * 1024;

interface Scenario {
  readonly name: string;
  readonly request: string;
  readonly upstream: (end: WireEnd, nth: number) => unknown;
  /** Before the client waits for the end of its answer. */
  readonly client?: (end: WireEnd) => unknown;
}

const scenarios: readonly Scenario[] = [
  { name: 'a plain answer', request: get, upstream: echoRequests },
  { name: 'a body both ways', request: post, upstream: echoRequests },
  { name: 'pipelined requests', request: get.repeat(20) + post.repeat(5), upstream: echoRequests },
  { name: 'chunks and trailers', request: get, upstream: async (end) => { await end.message('request', 1); end.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nT: 1\r\n\r\n'); } },
  { name: 'interim responses', request: get, upstream: async (end) => { await end.message('request', 1); end.send('HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'); } },
  { name: 'many chunks at once to a client that reads slowly', request: get, upstream: async (end) => { await end.message('request', 1); end.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${`10\r\n${'x'.repeat(16)}\r\n`.repeat(50_000)}0\r\n\r\n`); } },
  { name: 'a large upload to an upstream that reads slowly', request: `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${big}\r\n\r\n${'y'.repeat(big)}`, upstream: async (end) => { await end.message('request', 1); end.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'); } },
  { name: 'a reset before the answer', request: get, upstream: async (end) => { await end.message('request', 1); end.reset(); } },
  { name: 'an end within the answer', request: get, upstream: async (end) => { await end.message('request', 1); end.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx'); end.end(); } },
  { name: 'an answer before the request ended', request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc', upstream: async (end) => { await end.untilText('abc'); end.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'); } },
  { name: 'nonsense', request: post, upstream: async (end) => { await end.message('request', 1); end.send('nonsense\r\n\r\n'); } },
  { name: 'a first connection that is reset, then an answer', request: get, upstream: async (end, nth) => { if (nth === 1) end.reset(); else await echoRequests(end); } },
  { name: 'a client that goes away', request: post, upstream: () => {}, client: (end) => end.reset() },
  { name: 'a body that breaks off', request: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc', upstream: echoRequests, client: (end) => end.reset() },
];

describe('the contract of Sink and Source holds for', () => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_, { request, upstream, client }) => {
    const breaches: string[] = [];
    const up = await WireUpstream.start(upstream);
    closers.push(() => up.close());
    const gateway = await GatewayRig.start({ upstreams: [up.port], kinds: watchedKinds(breaches), retries: {} });
    closers.push(() => gateway.close());
    const end = await WireEnd.connect(gateway.port);
    closers.push(() => end.close());
    end.send(request);
    if (client === undefined) await end.message('response', 1);
    else {
      await (await up.connection(1)).untilText('abc');
      await client(end);
    }
    end.close();
    await gateway.untilNothingIsLeft();
    expect(breaches).toEqual([]);
  });
});

describe('the watch itself', () => {
  it('sees what breaks the contract', () => {
    const breaches: string[] = [];
    const silent: Source = { resume() {}, stop() {} };
    const quiet: Sink = { bind() {}, info() {}, head() {}, data: () => false, trailers() {}, reset() {} };
    const head = buildResponseHead({ status: 200 });
    const dispatch = checkedLayer((breach) => void breaches.push(breach))((_, response) => {
      response.head(head, false);
      response.bind(silent);
      response.data(new Uint8Array(1), 0, 1, false);
      response.data(new Uint8Array(1), 0, 2, true);
      response.trailers(head);
      return quiet;
    });
    dispatch({ attempt: 1, body: silent } as Call, quiet);
    expect(breaches).toEqual([
      'call 1, response: head() before bind()', 'call 1, response: data() after false, without resume()', 'call 1, response: data() with the span 0 to 2 of 1',
      'call 1, response: trailers() after the end',
    ]);
  });
});
