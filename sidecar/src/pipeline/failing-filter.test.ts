import { createServer, type Server } from 'node:http';
import type { EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { WAIT } from '@remora/policy-kit/exchange';
import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import { GatewayRig } from '../testdata/gateway-rig.ts';

/** security.md 4: a filter that cannot decide, because it crashes, refuses; nothing of the request reaches the app, and nobody else notices. */
let app: Server;
let seen = 0;
let rig: GatewayRig | null = null;
beforeAll(async () => {
  app = createServer((_, response) => {
    seen++;
    response.end('orders');
  });
  await new Promise<void>((resolve) => { app.listen(0, '127.0.0.1', resolve); });
});
afterAll(() => {
  app.close();
});
afterEach(async () => {
  await rig?.close();
  rig = null;
});

/** In the place of `ipAccess`: fails for `/bad` as a test says. */
function failing(filter: Partial<EdgeFilter>): ReadonlyMap<string, RuntimeKind<unknown>> {
  const real = runtimeKinds.get('ipAccess');
  if (real === undefined) throw new Error('there is no such kind');
  const kind: RuntimeKind<unknown> = { ...real, decode: () => ({}), edge: () => ({ kind: 'ipAccess', ...filter }) };
  return new Map([...runtimeKinds, ['ipAccess', kind]]);
}

async function start(filter: Partial<EdgeFilter>): Promise<GatewayRig> {
  const address = app.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  rig = await GatewayRig.start({ upstreams: [address.port], kinds: failing(filter), sections: [{ kind: 'ipAccess', minFormat: 1, body: Buffer.alloc(0) }] });
  seen = 0;
  return rig;
}

const isBad = (x: Exchange): boolean => x.head.path === '/bad';
const fail = (): never => {
  throw new Error('something that nobody thought of, with a secret in it');
};

async function clean(port: number): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/good`);
  expect([answer.status, await answer.text()]).toEqual([200, 'orders']);
}

describe('a filter that throws', () => {
  test.each<[string, Partial<EdgeFilter>]>([
    ['', { request: (x) => (isBad(x) ? fail() : null) }],
    [', with something that is no error,', { request: (x) => { if (isBad(x)) throw null as unknown as Error; return null; } }],
  ])('at the request%s refuses, and only this request', async (_when, filter) => {
    const { port, refusals } = await start(filter);
    const answer = await fetch(`http://127.0.0.1:${port}/bad`);
    const text = await answer.text();
    expect([answer.status, answer.headers.get('x-remora-reason'), seen]).toEqual([500, 'filter-failed', 0]);
    expect(text).not.toContain('secret');
    await vi.waitFor(() => expect(refusals).toMatchObject([{ reason: 'filter-failed' }]));
    await clean(port);
  });

  test('at the response lets nothing of it out: the connection ends, and only this one', async () => {
    const { port } = await start({ response: (x) => { if (isBad(x)) fail(); } });
    const answer = await fetch(`http://127.0.0.1:${port}/bad`).then((response) => response.text(), () => 'cut off');
    expect(answer).not.toMatch(/orders|secret/);
    await clean(port);
  });

  test('at the end harms nobody', async () => {
    const { port } = await start({ complete: (x) => { if (isBad(x)) fail(); } });
    for (const path of ['/bad', '/good']) expect((await fetch(`http://127.0.0.1:${port}${path}`)).status).toBe(200);
  });

  test('that waits for somebody who never answers lets nothing through, and nobody else waits with it', async () => {
    const { port } = await start({ request: (x) => (isBad(x) ? WAIT : null) });
    const abort = new AbortController();
    const waiting = fetch(`http://127.0.0.1:${port}/bad`, { signal: abort.signal }).then(({ status }) => status, () => 0);
    for (let i = 0; i < 5; i++) expect((await fetch(`http://127.0.0.1:${port}/good`)).status).toBe(200);
    expect(seen).toBe(5);
    abort.abort();
    expect(await waiting).toBe(0);
  });
});
