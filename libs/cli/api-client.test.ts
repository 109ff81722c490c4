import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { Server as TcpServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ApiProblem, openApi } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

describe('the client of the API', () => {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  async function listen(server: TcpServer): Promise<string> {
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const address = server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  async function clientOf(handle: RequestListener, timeoutMs = 5_000): Promise<ApiClient> {
    const server = createServer(handle);
    const api = openApi({ server: await listen(server), author: 'ána', timeoutMs });
    closers.push(() => api.close(), async () => {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    });
    return api;
  }

  test('names the author percent-encoded, asks for JSON, and leaves out parameters without a value', async () => {
    const api = await clientOf((request, response) => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ url: request.url, author: request.headers['x-remora-author'], accept: request.headers.accept }));
    });
    const { body } = await api.call({ method: 'GET', path: '/v1/x', query: { a: 1, b: undefined, c: 'ü &' } });
    expect(body).toEqual({ url: '/v1/x?a=1&c=%C3%BC+%26', author: '%C3%A1na', accept: 'application/json' });
  });

  test.each([
    { status: 422, code: 'documents-refused', exitCode: exitCodes.refused },
    { status: 409, code: 'guard', exitCode: exitCodes.refused },
    { status: 409, code: 'referred', exitCode: exitCodes.refused },
    { status: 409, code: 'plan-differs', exitCode: exitCodes.conflict },
    { status: 409, code: 'revert-conflict', exitCode: exitCodes.conflict },
    { status: 412, code: 'etag-mismatch', exitCode: exitCodes.conflict },
    { status: 404, code: 'not-found', exitCode: exitCodes.notFound },
    { status: 410, code: 'history-gone', exitCode: exitCodes.notFound },
    { status: 400, code: 'bad-parameter', exitCode: exitCodes.usage },
    { status: 400, code: 'unknown-guard', exitCode: exitCodes.usage },
    { status: 413, code: 'body-too-large', exitCode: exitCodes.refused },
    { status: 503, code: 'write-contended', exitCode: exitCodes.conflict },
    { status: 503, code: 'not-ready', exitCode: exitCodes.serverFailed },
    { status: 500, code: '__proto__', exitCode: exitCodes.serverFailed },
  ])('$status $code is exit code $exitCode', async ({ status, code, exitCode }) => {
    const api = await clientOf((_, response) => void response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ status, code, title: 'a title' })));
    const failure = await api.call({ method: 'GET', path: '/' }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ApiProblem);
    expect(failure).toMatchObject({ exitCode, status });
  });

  test('an error that is no problem document is told as it is', async () => {
    const api = await clientOf((_, response) => void response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'));
    await expect(api.call({ method: 'GET', path: '/' })).rejects.toMatchObject({ exitCode: exitCodes.serverFailed, message: '<h1>Bad gateway</h1>' });
  });

  test('silence ends at the time limit', async () => {
    const api = await clientOf(() => {}, 50);
    await expect(api.call({ method: 'GET', path: '/' })).rejects.toMatchObject({ exitCode: exitCodes.unreachable });
  });

  test('an answer that stops half-way ends at the time limit', async () => {
    const api = await clientOf((_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).write('{"a":'), 100);
    await expect(api.call({ method: 'GET', path: '/' })).rejects.toMatchObject({ exitCode: exitCodes.unreachable });
  });

  test('what is no HTTP is not understood, and says so', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.resume().end('SSH-2.0-OpenSSH\r\n');
    });
    const api = openApi({ server: await listen(server), author: 'x', timeoutMs: 2_000 });
    closers.push(() => api.close(), () => new Promise((resolve) => { server.close(() => resolve()); }));
    const failure = await api.call({ method: 'GET', path: '/' }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandFailure);
    expect(failure).toMatchObject({ exitCode: exitCodes.unreachable });
  });

  test('events are read however they are cut, and end when the reader stops', async () => {
    const api = await clientOf((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const text = ': hello\n\nid: 1\r\nevent: one\r\ndata: {"a":\r\ndata: "é"}\r\n\r\ndata: two\n\n';
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += 7) response.write(bytes.subarray(at, at + 7));
    });
    const seen = [];
    for await (const event of api.events('/v1/events', new AbortController().signal)) {
      seen.push(event);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([{ id: '1', event: 'one', data: '{"a":\n"é"}' }, { id: '', event: 'message', data: 'two' }]);
  });

  test('events end quietly when the reader is interrupted', async () => {
    const interrupted = new AbortController();
    const api = await clientOf((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: one\n\n');
    });
    let count = 0;
    for await (const _ of api.events('/v1/events', interrupted.signal)) {
      count += 1;
      interrupted.abort();
    }
    expect(count).toBe(1);
  });
});
