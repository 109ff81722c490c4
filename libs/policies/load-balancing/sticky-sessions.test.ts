import { buildRequestHead, buildResponseHead } from '@remora/http/head-builder';
import type { Host, HostSet } from '@remora/policy-kit/hosts';
import { HostStates } from '@remora/policy-kit/host-states';
import type { Call, Layer } from '@remora/policy-kit/exchange';
import { TestFilterContext } from '@remora/testing/filter-context';
import { LayerDriver } from '@remora/testing/layer-driver';
import { expect, test } from 'vitest';
import { loadBalancingRuntime } from './filter.ts';
import { createKeyHash } from './host-key.ts';
import { hostToken } from './sticky-sessions.ts';
import { usualLoadBalancing, type StickySettings } from './wire.ts';

const sticky: StickySettings = { cookie: 'where', ttlSeconds: 0, path: '/', secure: 'auto', sameSite: 'Lax' };

function host(id: string, slot: number, more: Partial<Host> = {}): Host {
  return { service: 'app', port: 'http', id, address: `${id}:80`, slot, weight: 1, locality: '', labels: [], backup: false, suspect: false, draining: false, since: 0, active: 0, downUntil: 0, latencyMs: 0, latencyAt: 0, owesSince: 0, ...more };
}

const hosts = [host('a', 0), host('b', 1), host('c', 2, { draining: true })];

/** One request with this cookie: the host it gets, and what the client is told. */
function drive(cookie: string, options: { readonly settings?: Partial<StickySettings>; readonly ill?: number; readonly avoid?: readonly string[] } = {}): { readonly id: string; readonly told: string } {
  const states = new HostStates(new ArrayBuffer(HostStates.bytes()));
  if (options.ill !== undefined) states.setEjectedUntil(options.ill, Infinity);
  const set: HostSet = { hosts, all: hosts, states, locality: '' };
  const context = new TestFilterContext('loadBalancing', { side: 'gateway' });
  const layer = loadBalancingRuntime.layer?.({ ...usualLoadBalancing, sticky: { ...sticky, ...options.settings } }, context) as Layer;
  const driver = new LayerDriver(layer, context, { request: { method: 'GET', authority: 'app', target: '/', headers: cookie === '' ? {} : { cookie } } }, { avoid: [...(options.avoid ?? [])] });
  const { call } = driver.last;
  call.host = call.balancer?.choose(call, set, 1000) ?? null;
  driver.last.response.head(buildResponseHead({ status: 200 }), true);
  const { lastHead } = driver.response;
  const told: string[] = [];
  lastHead?.forEach((name, value) => {
    if (name === 'set-cookie') told.push(value);
  });
  return { id: call.host?.id ?? '', told: told.join() };
}

const cookieOf = (of: Host): string => `x=1; where=${hostToken(of)}`;
const [a, b, c] = hosts as [Host, Host, Host];

test('who was with a host gets it again, and is told nothing', () => {
  for (let i = 0; i < 10; i++) expect(drive(cookieOf(b))).toEqual({ id: 'b', told: '' });
});

test.each([
  ['without a cookie', '', {}],
  ['with one that nobody made', 'where=0123', {}],
  ['whose host is ejected', cookieOf(a), { ill: 0 }],
  ['whose host drains', cookieOf(c), {}],
  ['whose host has failed this request', cookieOf(a), { avoid: ['a'] }],
] as const)('a client %s is told where it was', (_, cookie, options) => {
  const { id, told } = drive(cookie, options);
  expect(['a', 'b']).toContain(id);
  expect(told).toBe(`where=${hostToken(id === 'a' ? a : b)}; Path=/; HttpOnly; SameSite=Lax`);
  if (cookie.startsWith('x=')) expect(cookie).not.toContain(hostToken(id === 'a' ? a : b));
});

test('attributes are as they are set', () => {
  expect(drive('', { settings: { ttlSeconds: 60, path: '/shop', secure: 'always', sameSite: 'None' } }).told).toMatch(/^where=[0-9a-f]{16}; Path=\/shop; Max-Age=60; HttpOnly; SameSite=None; Secure$/);
});

test('a key is the first part that a request has', () => {
  const keyOf = createKeyHash(['header.x-user', 'cookie.sid', 'query.user', 'clientAddress']);
  const hash = (target: string, headers: Record<string, string>, clientAddress = '10.0.0.9'): number =>
    keyOf({ head: buildRequestHead({ method: 'GET', authority: 'app', target, headers }), x: { clientAddress } } as unknown as Call);
  const user = hash('/', { 'x-user': 'u1' });
  expect(hash('/?user=u2', { 'x-user': 'u1', cookie: 'sid=u3' })).toBe(user);
  expect(hash('/', { cookie: 'other=1; sid=u1' })).toBe(user);
  expect(hash('/?a=1&user=u1', {})).toBe(user);
  expect(hash('/', {}, 'u1')).toBe(user);
  expect(hash('/', { 'x-user': '' }, 'u1')).toBe(user);
  expect(hash('/', {}, '')).toBe(-1);
});
