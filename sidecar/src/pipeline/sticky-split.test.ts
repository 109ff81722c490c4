import { WireEnd, WireUpstream } from '@remora/testing/wire-end';
import { afterEach, expect, it } from 'vitest';
import { endpointAt, GatewayRig } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** An instance that answers with its version in a header. */
async function instance(version: string): Promise<ReturnType<typeof endpointAt>> {
  const up = await WireUpstream.start(async (end) => {
    for (let nth = 1; (await end.message('request', nth)) !== null; nth++) end.send(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Version: ${version}\r\n\r\n`);
  });
  closers.push(() => up.close());
  return { ...endpointAt(up.port), labels: [{ key: 'version', value: version }] };
}

it('a split sticks to the value of its header, on every connection; requests without it go by chance', async () => {
  const endpoints = [await instance('v1'), await instance('v2')];
  const targets = ['v1', 'v2'].map((version) => ({ service: 'app', weight: 50, labels: [{ key: 'version', value: version }] }));
  const gateway = await GatewayRig.start({
    upstreams: [], endpoints,
    routes: [{ name: 'split', match: { path: { kind: { $case: 'prefix', value: '/' } } }, action: { $case: 'forward', value: { targets, stickyHeader: 'x-user-id' } } }],
  });
  closers.push(() => gateway.close());
  const sides = new Map<string, Set<string>>();
  for (let connection = 0; connection < 3; connection++) {
    const end = await WireEnd.connect(gateway.port);
    for (let nth = 1; nth <= 40; nth++) {
      const user = nth <= 20 ? `user-${nth}` : '';
      end.send(`GET / HTTP/1.1\r\nHost: a\r\n${user === '' ? '' : `X-User-Id: ${user}\r\n`}\r\n`);
      let version = 'none';
      (await end.message('response', nth))?.head.forEach((name, value) => { if (name.toLowerCase() === 'x-version') version = value; });
      sides.set(user, (sides.get(user) ?? new Set()).add(version));
    }
    end.close();
  }
  const byUser = [...sides].filter(([user]) => user !== '').map(([, seen]) => [...seen].join(' '));
  expect(new Set(byUser)).toEqual(new Set(['v1', 'v2']));
  expect(sides.get('')).toEqual(new Set(['v1', 'v2']));
});
