import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, describe, expect, test } from 'vitest';
import type { HelperRequest } from './helper-client.ts';
import { UndiciHelperClient, type LookupAll } from './undici-helper-client.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(handler: http.RequestListener): Promise<number> {
  const server = http.createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return (server.address() as AddressInfo).port;
}

function client(lookup?: LookupAll): UndiciHelperClient {
  const made = new UndiciHelperClient(lookup === undefined ? {} : { lookup });
  closers.push(() => made.close());
  return made;
}

const usual: Omit<HelperRequest, 'url'> = { method: 'GET', deadlineMs: 5_000, bodyBytesMax: 1_000, allowPrivateAddresses: true };

describe('helper requests', () => {
  test('answer with status, headers and body', async () => {
    const port = await serve((request, response) => {
      response.setHeader('cache-control', 'max-age=60');
      response.end(`${request.method ?? ''} ${request.url ?? ''} ${request.headers['accept-encoding'] ?? ''}`);
    });
    const answer = await client().request({ ...usual, url: `http://127.0.0.1:${port}/keys?a=1` });
    expect(answer).toMatchObject({ ok: true, status: 200, headers: { 'cache-control': 'max-age=60' } });
    expect(answer.ok && Buffer.from(answer.body).toString()).toBe('GET /keys?a=1 identity');
  });

  test('post a body', async () => {
    const port = await serve((request, response) => void request.pipe(response));
    const answer = await client().request({ ...usual, method: 'POST', body: 'token=abc', headers: { 'content-type': 'application/x-www-form-urlencoded' }, url: `http://127.0.0.1:${port}/` });
    expect(answer.ok && Buffer.from(answer.body).toString()).toBe('token=abc');
  });

  test('of a liar with 50 MB only what is accepted is read', async () => {
    let sent = 0;
    const port = await serve((_, response) => {
      const chunk = Buffer.alloc(65_536);
      const more = (): void => {
        while (sent < 50_000_000 && !response.destroyed) {
          sent += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    expect(await client().request({ ...usual, url: `http://127.0.0.1:${port}/` })).toMatchObject({ ok: false, code: 'too-large' });
    expect(sent).toBeLessThan(20_000_000);
  });

  test.each([
    ['too-large', (response: http.ServerResponse) => void response.writeHead(200, { 'content-length': 2_000 }).end('a'.repeat(2_000))],
    ['redirect', (response: http.ServerResponse) => void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['encoded', (response: http.ServerResponse) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x')],
    ['broken', (response: http.ServerResponse) => void response.destroy()],
    ['broken', (response: http.ServerResponse) => {
      response.writeHead(200, { 'content-length': 100 }).write('a');
      response.socket?.end();
    }],
  ])('%s', async (code, respond) => {
    const port = await serve((_, response) => {
      respond(response);
    });
    expect(await client().request({ ...usual, url: `http://127.0.0.1:${port}/` })).toMatchObject({ ok: false, code });
  });

  test('what is no HTTP is broken', async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => {}).write('SSH-2.0-x\r\n', () => socket.destroySoon());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => new Promise((resolve) => {
      server.close(resolve);
    }));
    expect(await client().request({ ...usual, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` })).toMatchObject({ ok: false, code: 'broken' });
  });

  test('who hangs is given up, before the head and within the body', async () => {
    const silent = await serve(() => {});
    const dripping = await serve((_, response) => void response.writeHead(200).write('a'));
    for (const port of [silent, dripping]) {
      expect(await client().request({ ...usual, deadlineMs: 100, url: `http://127.0.0.1:${port}/` })).toMatchObject({ ok: false, code: 'timeout' });
    }
  });

  test('a name that nobody knows is told, and ends no process', async () => {
    const unknown: LookupAll = (host, found) => found(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }));
    expect(await client(unknown).request({ ...usual, url: 'http://login.example/keys' })).toMatchObject({ ok: false, code: 'connect', message: expect.stringContaining('ENOTFOUND') as string });
    expect(await client((_host, found) => found(null, [])).request({ ...usual, url: 'http://login.example/keys' })).toMatchObject({ ok: false, code: 'connect', message: 'login.example has no address' });
  });

  test('nobody there', async () => {
    expect(await client().request({ ...usual, url: 'http://127.0.0.1:1/' })).toMatchObject({ ok: false, code: 'connect' });
  });

  test('closing ends what is under way, and what comes after', async () => {
    const arrived = Promise.withResolvers<void>();
    const port = await serve(() => arrived.resolve());
    const one = client();
    const hanging = one.request({ ...usual, url: `http://127.0.0.1:${port}/` });
    await arrived.promise;
    await one.close();
    expect(await hanging).toMatchObject({ ok: false, code: 'closed' });
    expect(await one.request({ ...usual, url: `http://127.0.0.1:${port}/` })).toMatchObject({ ok: false, code: 'closed' });
  });
});

describe('over TLS', () => {
  const authority = new TestAuthority();
  const found: LookupAll = (_host, done) => done(null, [{ address: '127.0.0.1', family: 4 }]);
  const ask = async (names: readonly string[], authorities: string | undefined, options: { readonly validFrom?: Date; readonly validTo?: Date } = {}): Promise<string> => {
    const { cert, key } = authority.issue({ dns: [...names], ...options });
    const server = https.createServer({ cert, key }, (_, response) => response.end('ok')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(() => {
      server.closeAllConnections();
      return new Promise((resolve) => {
        server.close(resolve);
      });
    });
    const one = new UndiciHelperClient({ lookup: found, ...(authorities !== undefined && { authorities }) });
    closers.push(() => one.close());
    const answer = await one.request({ ...usual, url: `https://login.example:${(server.address() as AddressInfo).port}/` });
    return answer.ok ? 'ok' : answer.code;
  };

  test('a certificate of an authority that is believed, for that name', async () => {
    expect(await ask(['login.example'], authority.cert)).toBe('ok');
  });

  test('of a stranger, for another name, or over: nobody is asked', async () => {
    expect(await ask(['login.example'], new TestAuthority('somebody else').cert)).toBe('connect');
    expect(await ask(['login.example'], undefined)).toBe('connect');
    expect(await ask(['other.example'], authority.cert)).toBe('connect');
    expect(await ask(['login.example'], authority.cert, { validFrom: new Date(Date.now() - 7_200_000), validTo: new Date(Date.now() - 3_600_000) })).toBe('connect');
  });
});

describe('where they may not go', () => {
  const names = (addresses: readonly string[]): LookupAll => (_host, found) => found(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));

  test.each([
    ['https://127.0.0.1/', false], ['https://[::1]/', false], ['https://[::ffff:127.0.0.1]/', false], ['https://2130706433/', false], ['https://0x7f.1/', false],
    ['http://127.0.0.1/', false], ['http://8.8.8.8/', true], ['ftp://a.example/', true], ['nothing', true], ['https://a:b@a.example/', true],
  ])('%s, private ones allowed: %s', async (url, allowPrivateAddresses) => {
    expect(await client().request({ ...usual, url, allowPrivateAddresses })).toMatchObject({ ok: false, code: 'address' });
  });

  test.each([[['127.0.0.1']], [['169.254.169.254']], [['203.0.113.1', '10.0.0.1']]])('a public name that is %j', async (addresses) => {
    expect(await client(names(addresses)).request({ ...usual, url: 'https://login.example/', allowPrivateAddresses: false })).toMatchObject({ ok: false, code: 'address' });
  });

  test('a name that means another address the second time is looked at where the connection is made', async () => {
    let asked = 0;
    const port = await serve((_, response) => void response.end('ok'));
    const rebinding: LookupAll = (_host, found) => found(null, [{ address: ++asked === 1 ? '127.0.0.1' : '8.8.8.8', family: 4 }]);
    const one = client(rebinding);
    expect(await one.request({ ...usual, url: `http://a.example:${port}/` })).toMatchObject({ ok: true });
    expect(asked).toBe(1);
    expect(await one.request({ ...usual, url: `http://b.example:${port}/` })).toMatchObject({ ok: false, code: 'address' });
  });
});
