import { afterEach, expect, it } from 'vitest';
import { startHealthServer } from './health-server.ts';
import type { ListeningServer } from './listening-server.ts';

let server: ListeningServer | null = null;
afterEach(() => server?.close());

it('says whether the instance may get requests, and nothing else', async () => {
  let readiness = { ready: false, why: 'the app does not accept connections' };
  server = await startHealthServer({ address: { host: '127.0.0.1', port: 0 }, readiness: () => readiness });
  const ask = async (path: string, method = 'GET'): Promise<[number, string]> => {
    const answer = await fetch(`http://127.0.0.1:${server?.address.port}${path}`, { method });
    return [answer.status, await answer.text()];
  };
  expect(await ask('/healthz')).toEqual([503, 'the app does not accept connections\n']);
  readiness = { ready: true, why: 'ready' };
  expect(await ask('/healthz?verbose')).toEqual([200, 'ready\n']);
  expect(await ask('/healthz', 'HEAD')).toEqual([200, '']);
  expect((await ask('/healthz', 'POST'))[0]).toBe(405);
  for (const path of ['/', '/metrics', '/status', '/healthz/', '/drain']) expect((await ask(path))[0]).toBe(404);
});

it('names the port that is taken', async () => {
  server = await startHealthServer({ address: { host: '127.0.0.1', port: 0 }, readiness: () => ({ ready: true, why: 'ready' }) });
  await expect(startHealthServer({ address: server.address, readiness: () => ({ ready: true, why: '' }) })).rejects.toThrow(/^health port 127\.0\.0\.1:\d+ is in use$/);
});
