import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { status } from '@grpc/grpc-js';
import { authQuestion } from '@remora/policy-external-auth/wire';
import { CheckRequest, CheckResponse } from '@remora/policy-external-auth/gen/external-auth';
import { ManualClock } from '@remora/testing/manual-clock';
import { afterEach, describe, expect, test } from 'vitest';
import { startGrpcAuthorizer, type Check } from '../testdata/grpc-authorizer.ts';
import { ExternalAuthCaller } from './external-auth-caller.ts';
import { UndiciHelperClient } from './undici-helper-client.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const startAuthorizer = (check: Check): Promise<string> => startGrpcAuthorizer(check, closers);

async function startHttp(answer: http.RequestListener): Promise<string> {
  const server = http.createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise<void>((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  }));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/check`;
}

function caller(clock = new ManualClock()): ExternalAuthCaller {
  const client = new UndiciHelperClient();
  const made = new ExternalAuthCaller({ client, clock });
  closers.push(() => made.close(), () => client.close());
  return made;
}

const request = CheckRequest.encode(CheckRequest.fromPartial({ attributes: { request: { http: { method: 'GET', path: '/orders' } } } })).finish();

async function ask(one: ExternalAuthCaller, question: object): Promise<ReturnType<typeof authQuestion.Reply.decode>> {
  const bytes = authQuestion.Question.encode(authQuestion.Question.fromPartial({ deadlineMs: 2_000, allowPrivateAddresses: true, body: Buffer.from(request), ...question })).finish();
  return authQuestion.Reply.decode(await one.answer(bytes));
}

describe('gRPC', () => {
  test('carries question and answer of Envoy\'s protocol', async () => {
    const address = await startAuthorizer((asked, answer) => answer(null, CheckResponse.fromPartial({ status: { code: asked.attributes?.request?.http?.path === '/orders' ? 0 : 7 }, okResponse: { headers: [{ header: { key: 'x-user', value: 'alice' } }] } })));
    const reply = await ask(caller(), { address });
    expect(reply.failure).toBe('');
    expect(CheckResponse.decode(reply.body)).toMatchObject({ status: { code: 0 }, okResponse: { headers: [{ header: { key: 'x-user', value: 'alice' } }] } });
  });

  test('a body of megabytes, as Envoy tells it', async () => {
    const body = Buffer.alloc(3 * 1024 * 1024, 'é');
    const address = await startAuthorizer((asked, answer) => {
      const http = asked.attributes?.request?.http;
      answer(null, CheckResponse.fromPartial({ status: { code: 0, message: `${http?.body.equals(body)} ${http?.rawBody.length}` } }));
    });
    const check = CheckRequest.encode(CheckRequest.fromPartial({ attributes: { request: { http: { body } } } })).finish();
    const reply = await ask(caller(), { address, body: Buffer.from(check) });
    expect(CheckResponse.decode(reply.body).status?.message).toBe('true 0');
  });

  test('ends at the deadline where the authorizer hangs', async () => {
    const address = await startAuthorizer(() => {});
    expect((await ask(caller(), { address, deadlineMs: 30 })).failure).toMatch(/gRPC 4/);
  });

  test('questions that it does not take are no reason to leave it alone', async () => {
    const address = await startAuthorizer((asked, answer) => answer(asked.attributes?.request?.http?.path === '/orders' ? { code: status.RESOURCE_EXHAUSTED, details: 'too long' } : null, CheckResponse.fromPartial({ status: { code: 0 } })));
    const one = caller();
    for (let i = 0; i < 8; i += 1) expect((await ask(one, { address })).failure).toMatch(/gRPC 8/);
    expect((await ask(one, { address, body: Buffer.alloc(0) })).failure).toBe('');
  });

  test('a name that means another address by now is followed', async () => {
    const answering = (name: string) => startAuthorizer((_asked, answer) => answer(null, CheckResponse.fromPartial({ status: { code: 0, message: name } })));
    const port = (await answering('here')).split(':')[1] ?? '';
    let addresses = ['127.0.0.9', '127.0.0.1'];
    const one = new ExternalAuthCaller({ client: new UndiciHelperClient(), clock: new ManualClock(), lookup: (_host, found) => found(null, addresses.map((address) => ({ address, family: 4 }))) });
    closers.push(() => one.close());
    const address = `auth.internal:${port}`;
    // The second address where nobody is at the first.
    expect(CheckResponse.decode((await ask(one, { address })).body).status?.message).toBe('here');
    one.close();
    addresses = ['127.0.0.9'];
    expect((await ask(one, { address })).failure).toMatch(/gRPC 14/);
    addresses = ['127.0.0.1'];
    expect(CheckResponse.decode((await ask(one, { address })).body).status?.message).toBe('here');
  });

  test('an answer larger than anybody needs is none', async () => {
    const address = await startAuthorizer((_asked, answer) => answer(null, CheckResponse.fromPartial({ status: { code: 0 }, deniedResponse: { body: 'x'.repeat(200_000) } })));
    expect((await ask(caller(), { address })).failure).toMatch(/gRPC 8/);
  });

  test('private addresses only where they are allowed, plain only to those', async () => {
    const address = await startAuthorizer((_asked, answer) => answer(null, CheckResponse.fromPartial({ status: { code: 0 } })));
    expect((await ask(caller(), { address, allowPrivateAddresses: false })).failure).toMatch(/without TLS/);
    expect((await ask(caller(), { address, allowPrivateAddresses: false, tls: true })).failure).toMatch(/may not be asked/);
    expect((await ask(caller(), { address: '192.0.2.1:1', allowPrivateAddresses: true })).failure).toMatch(/may not be asked/);
  });

  test('one that fails again and again is left alone for a moment', async () => {
    let asked = 0;
    let fine = false;
    const address = await startAuthorizer((_asked, answer) => {
      asked += 1;
      answer(fine ? null : { code: status.UNAVAILABLE, details: 'down' }, CheckResponse.fromPartial({ status: { code: 0 } }));
    });
    const clock = new ManualClock();
    const one = caller(clock);
    for (let i = 0; i < 8; i += 1) expect((await ask(one, { address })).failure).not.toBe('');
    expect(asked).toBe(5);
    clock.advance(1_000);
    // One question tries, the others are not held up by it.
    const failures = (await Promise.all([ask(one, { address }), ask(one, { address }), ask(one, { address })])).map(({ failure }) => failure);
    expect([asked, failures.filter((failure) => failure.includes('left alone')).length]).toEqual([6, 2]);
    fine = true;
    clock.advance(1_000);
    expect((await ask(one, { address })).failure).toBe('');
    expect((await ask(one, { address })).failure).toBe('');
  });
});

describe('HTTP', () => {
  test('tells status, headers and body, a redirect too', async () => {
    const url = await startHttp((_asked, answer) => answer.writeHead(302, { location: 'https://login.example/', 'x-a': '1' }).end('go'));
    const reply = await ask(caller(), { url, headers: [{ name: 'authorization', value: 'Bearer t' }] });
    expect(reply).toMatchObject({ failure: '', status: 302 });
    expect(reply.headers).toContainEqual({ name: 'location', value: 'https://login.example/' });
    expect(Buffer.from(reply.body).toString()).toBe('go');
  });

  test('asks with POST and the body where that is sent, with GET otherwise', async () => {
    const url = await startHttp((asked, answer) => {
      const parts: Buffer[] = [];
      asked.on('data', (part: Buffer) => parts.push(part)).on('end', () => answer.end(Buffer.concat([Buffer.from(`${asked.method} ${asked.headers['content-length'] ?? ''} `), ...parts])));
    });
    const one = caller();
    for (const [question, expected] of [[{ post: true, body: Buffer.from('aÿ', 'latin1') }, 'POST 2 aÿ'], [{ post: true, body: Buffer.alloc(0) }, 'POST 0 '], [{ body: Buffer.alloc(0) }, 'GET  ']] as const) {
      expect(Buffer.from((await ask(one, { url, ...question })).body).toString('latin1')).toBe(expected);
    }
  });

  test.each<[string, http.RequestListener, RegExp]>([
    ['hangs', () => {}, /timeout/],
    ['sends 50 MB', (_asked, answer) => void answer.writeHead(200).end(Buffer.alloc(50_000_000)), /too-large/],
    ['breaks off', (asked) => void asked.socket.destroy(), /broken|connect/],
    ['speaks no HTTP', (asked) => void asked.socket.end('hello\r\n\r\n'), /broken|connect/],
  ])('one that %s decides nothing', async (_title, answer, expected) => {
    const url = await startHttp(answer);
    expect((await ask(caller(), { url, deadlineMs: 300 })).failure).toMatch(expected);
  });

  test('nobody there', async () => {
    expect((await ask(caller(), { url: 'http://127.0.0.1:1/' })).failure).toMatch(/connect/);
    expect((await ask(caller(), { url: 'http://127.0.0.1:1/', allowPrivateAddresses: false })).failure).toMatch(/address/);
  });
});
