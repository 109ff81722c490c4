import { WireEnd, WireUpstream } from '@remora/testing/wire-end';
import { afterEach, expect, it, vi } from 'vitest';
import { endpointAt, GatewayRig } from '../testdata/gateway-rig.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** An instance that answers this; 0: it resets. */
async function instance(version: string, status: number): Promise<ReturnType<typeof endpointAt>> {
  const up = await WireUpstream.start(async (end) => {
    for (let nth = 1; (await end.message('request', nth)) !== null; nth++) {
      if (status === 0) end.reset();
      else end.send(`HTTP/1.1 ${String(status)} Said\r\nContent-Length: 0\r\n\r\n`);
    }
  });
  closers.push(() => up.close());
  return { ...endpointAt(up.port), labels: [{ key: 'version', value: version }] };
}

it.each([[503, '5xx'], [0, 'a reset, which the caller sees as 5xx']])('what callers saw of each target of a Route is a series of its own (%i: %s)', async (status) => {
  const endpoints = [await instance('v1', 200), await instance('v2', status)];
  const targets = ['v1', 'v2'].map((version) => ({ service: 'app', weight: 1, labels: [{ key: 'version', value: version }] }));
  const gateway = await GatewayRig.start({
    upstreams: [], endpoints,
    routes: [{ name: 'split', match: { path: { kind: { $case: 'prefix', value: '/' } } }, action: { $case: 'forward', value: { targets } } }],
  });
  closers.push(() => gateway.close());
  const end = await WireEnd.connect(gateway.port);
  closers.push(() => end.close());
  for (let nth = 1; nth <= 60; nth++) {
    end.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await end.message('response', nth);
  }
  await vi.waitFor(() => {
    const series = gateway.plane.readSeries().filter(({ route }) => route === 'split').sort((a, b) => (a.target < b.target ? -1 : 1));
    expect(series.map(({ destination, target }) => `${destination} ${target}`)).toEqual(['app version=v1', 'app version=v2']);
    const [stable, candidate] = series;
    expect((stable?.requests ?? 0) + (candidate?.requests ?? 0)).toBe(60);
    expect(stable?.statusClasses[2]).toBe(stable?.requests);
    expect(candidate?.statusClasses[5]).toBe(candidate?.requests);
    expect(candidate?.refusals.reduce((sum, { count }) => sum + count, 0) ?? 0).toBe(status === 0 ? candidate?.requests : 0);
  });
});
