import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { SourceTarget } from '../discovery-source.ts';
import { describeSource, paymentsTarget, Recorder } from '../testdata/source-contract.ts';
import { KubernetesDouble, pod, slice } from './testdata/kubernetes-double.ts';
import { createKubernetesSource, type KubernetesSourceDeps } from './kubernetes-source.ts';
import { endpointSlice, sliceInstances } from './slice-instances.ts';

const authority = new TestAuthority();
const hasty = { after: (ms: number, run: () => void) => systemTimers.after(ms / 50, run), every: (ms: number, run: () => void) => systemTimers.every(ms / 50, run) };
const discovery: SourceTarget['discovery'] = { source: 'kubernetes', kubernetes: { namespace: 'shop' } };

async function serve(): Promise<KubernetesDouble> {
  return new KubernetesDouble(authority.issue({ addresses: ['127.0.0.1'] })).listen();
}

function source(api: KubernetesDouble, more: Partial<KubernetesSourceDeps> = {}): ReturnType<typeof createKubernetesSource> {
  return createKubernetesSource({ address: api.address, token: () => '', authority: () => authority.cert, timers: hasty, random: seededRandom(1), limits: { deadlineMs: 300, watchSeconds: 1, graceMs: -500 }, ...more });
}

describeSource('Kubernetes', { emptyIsAnswer: true, hangs: true }, async () => {
  const api = await serve();
  return {
    source: source(api),
    discovery,
    async put(places) { api.put(slice('payments-x', places.map(({ host }) => pod(`payments-${host}`, host)))); },
    async break() { api.failing = { status: 500, message: 'etcdserver: leader changed' }; api.endWatches(); },
    async hang() { api.silent = true; api.endWatches(); },
    async mend() { [api.failing, api.silent] = [null, false]; },
    end: () => api.close(),
  };
});

describe('what a Kubernetes API may do', () => {
  const ends: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  async function follow(more: Partial<KubernetesSourceDeps> = {}, prepare: (api: KubernetesDouble) => void = () => {}): Promise<{ api: KubernetesDouble; seen: Recorder }> {
    const api = await serve();
    api.put(slice('payments-a', [pod('one', '10.0.0.1')]));
    prepare(api);
    const seen = new Recorder();
    const made = source(api, { limits: { deadlineMs: 2_000, watchSeconds: 60 }, ...more });
    ends.push(() => api.close(), () => made.close());
    made.follow({ ...paymentsTarget, discovery }, seen);
    await vi.waitFor(() => expect(seen.told).toBeGreaterThan(0));
    return { api, seen };
  }
  const watches = (api: KubernetesDouble): URL[] => api.requests.filter(({ url }) => url.searchParams.has('watch')).map(({ url }) => url);

  test('a list with its selector, then a watch from its version', async () => {
    const { api } = await follow();
    await vi.waitFor(() => expect(watches(api)).toHaveLength(1));
    const [list, watch] = api.requests.map(({ url }) => url);
    expect(list?.pathname).toBe('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices');
    expect(list?.searchParams.get('labelSelector')).toBe('kubernetes.io/service-name=payments');
    expect(watch?.searchParams.get('resourceVersion')).toBe('1001');
    expect(watch?.searchParams.get('allowWatchBookmarks')).toBe('true');
  });

  test('slices come, change and go; a list of several pages is one', async () => {
    const { api, seen } = await follow({}, (server) => {
      server.pageItems = 1;
      server.put(slice('payments-b', [pod('two', '10.0.0.2')]));
      server.put(slice('payments-c', [pod('three', '10.0.0.3')]));
    });
    expect(seen.places()).toEqual(['10.0.0.1:8080', '10.0.0.2:8080', '10.0.0.3:8080']);
    expect(seen.answers).toHaveLength(1);
    await vi.waitFor(() => expect(watches(api)).toHaveLength(1));
    api.put(slice('payments-b', [pod('two', '10.0.0.2', { ready: false, serving: true, terminating: true }), pod('four', '10.0.0.4')]));
    await vi.waitFor(() => expect(seen.answers.at(-1)?.map(({ id, draining }) => `${id}${draining ? ' leaving' : ''}`).sort()).toEqual(['shop/four', 'shop/one', 'shop/three', 'shop/two leaving']));
    api.remove('payments-b');
    await vi.waitFor(() => expect(seen.places()).toEqual(['10.0.0.1:8080', '10.0.0.3:8080']));
  });

  test('a watch that ends begins again where it was, bookmarks included; nothing is listed again', async () => {
    const { api, seen } = await follow();
    await vi.waitFor(() => expect(watches(api)).toHaveLength(1));
    api.bookmark();
    api.endWatches();
    await vi.waitFor(() => expect(watches(api)).toHaveLength(2));
    expect(watches(api).at(-1)?.searchParams.get('resourceVersion')).toBe('1011');
    api.put(slice('payments-b', [pod('two', '10.0.0.2')]));
    await vi.waitFor(() => expect(seen.places()).toHaveLength(2));
    expect(api.requests.filter(({ url }) => !url.searchParams.has('watch'))).toHaveLength(1);
    expect(seen.failures).toEqual([]);
  });

  test('410 Gone: everything is listed again, and what went meanwhile is gone', async () => {
    const { api, seen } = await follow({}, (server) => server.put(slice('payments-b', [pod('two', '10.0.0.2')])));
    await vi.waitFor(() => expect(watches(api)).toHaveLength(1));
    api.endWatches();
    api.remove('payments-b');
    api.compact();
    await vi.waitFor(() => expect(seen.places()).toEqual(['10.0.0.1:8080']));
    expect(seen.failures).toEqual([]);
  });

  test.each<[string, (api: KubernetesDouble) => void, RegExp]>([
    ['an event that is no JSON', (api) => api.say('{"type":'), /its answer is no JSON/],
    ['an event of another shape', (api) => api.say({ kind: 'x' }), /an event of its watch cannot be read/],
    ['a slice of another shape', (api) => api.say({ type: 'ADDED', object: { metadata: { name: 'x', resourceVersion: '2' } } }), /an EndpointSlice cannot be read/],
    ['an error', (api) => api.say({ type: 'ERROR', object: { kind: 'Status', code: 500, message: 'boom' } }), /boom/],
    ['an event without end', (api) => api.say(' '.repeat(100_000)), /more than 10000 bytes/],
    ['a connection that breaks', (api) => { api.failing = { status: 503, message: 'starting' }; api.endWatches(true); }, /Kubernetes at https:.*shop\/payments: /],
    ['an account without rights', (api) => { api.failing = { status: 403, message: 'endpointslices is forbidden' }; api.endWatches(); }, /may not list and watch endpointslices \(403\): endpointslices is forbidden/],
  ])('%s is a failure, and it lists again', async (_title, spoil, message) => {
    const { api, seen } = await follow({ limits: { deadlineMs: 2_000, watchSeconds: 60, eventBytes: 10_000 } });
    await vi.waitFor(() => expect(watches(api)).toHaveLength(1));
    spoil(api);
    await vi.waitFor(() => expect(seen.failures.join('\n')).toMatch(message));
    api.failing = null;
    api.put(slice('payments-b', [pod('two', '10.0.0.2')]));
    await vi.waitFor(() => expect(seen.places()).toEqual(['10.0.0.1:8080', '10.0.0.2:8080']));
  });

  test('the token is read at each request: a file that was replaced is used', async () => {
    const folder = scratchFolder('kubernetes');
    const file = path.join(folder, 'token');
    writeFileSync(file, 'first\n');
    const { api, seen } = await follow({ token: () => readFileSync(file, 'utf8').trim() }, (server) => { server.token = 'first'; });
    expect(seen.places()).toHaveLength(1);
    await vi.waitFor(() => expect(watches(api)).toHaveLength(1));
    api.token = 'second';
    api.endWatches();
    await vi.waitFor(() => expect(seen.failures.join()).toContain('the token is not believed (401)'));
    writeFileSync(`${file}.new`, 'second\n');
    renameSync(`${file}.new`, file);
    const before = seen.answers.length;
    await vi.waitFor(() => expect(seen.answers.length).toBeGreaterThan(before));
    expect(seen.failures.join()).not.toMatch(/first|second/);
    rmSync(folder, { recursive: true });
  });

  test('an API that is signed by somebody else is a failure', async () => {
    const { seen } = await follow({ authority: () => new TestAuthority('another').cert });
    expect(seen.answers).toEqual([]);
    expect(seen.failures.join()).toMatch(/CERT|SIGNATURE|ISSUER|verify/i);
  });
});

describe('instances of EndpointSlices', () => {
  const target: SourceTarget = { ...paymentsTarget, discovery };
  const read = (...slices: unknown[]): ReturnType<typeof sliceInstances> => sliceInstances(slices.map((one) => endpointSlice.parse(one)), target);

  test.each([
    [{ ready: true, serving: true, terminating: false }, 'ready'],
    [{}, 'ready'],
    [{ ready: null }, 'ready'],
    [{ ready: false, serving: false, terminating: false }, 'none'],
    [{ ready: false, serving: true, terminating: true }, 'leaving'],
    [{ ready: false, serving: false, terminating: true }, 'none'],
    [{ ready: true, serving: true, terminating: true }, 'ready'],
  ])('%j: %s', (conditions, expected) => {
    const [one] = read(slice('a', [pod('p', '10.0.0.1', conditions)])).instances;
    expect(one === undefined ? 'none' : one.draining ? 'leaving' : 'ready').toBe(expected);
  });

  test('zone, node and labels of the Service; labels that Kubernetes makes for itself are not ours', () => {
    expect(read(slice('a', [pod('p', '10.0.0.1')])).instances).toEqual([
      { id: 'shop/p', ports: [{ name: 'http', host: '10.0.0.1', port: 8080 }], labels: { app: 'payments', 'kubernetes.io/hostname': 'node-1' }, locality: 'eu-a', weight: 1, backup: false, draining: false },
    ]);
  });

  test('a pod of two families, and one that two slices have for a moment, is one instance', () => {
    const { instances } = read(
      slice('six', [pod('p', 'fd00::1')], { addressType: 'IPv6' }), slice('a', [pod('p', '10.0.0.1')]),
      slice('b', [pod('q', '10.0.0.2', { ready: false, serving: true, terminating: true })]), slice('c', [pod('q', '10.0.0.2')]),
    );
    expect(instances.map(({ id, ports, draining }) => [id, ports[0]?.host, draining])).toEqual([['shop/p', '10.0.0.1', false], ['shop/q', '10.0.0.2', false]]);
  });

  test.each<[string, object[], string[], Record<string, string> | undefined, string[]]>([
    ['by name', [{ name: 'admin', port: 1 }, { name: 'http', port: 2 }], ['http'], undefined, ['http:2']],
    ['the only one', [{ name: '', port: 3 }], ['http'], undefined, ['http:3']],
    ['as the document says', [{ name: 'web', port: 4 }, { name: 'x', port: 5 }], ['http'], { http: 'web' }, ['http:4']],
    ['without UDP', [{ name: 'http', port: 6, protocol: 'UDP' }, { name: 'web', port: 7, protocol: 'TCP' }], ['http'], undefined, ['http:7']],
    ['several', [{ name: 'admin', port: 8 }, { name: 'http', port: 9 }], ['admin', 'http'], undefined, ['admin:8', 'http:9']],
    ['some of several', [{ name: 'http', port: 9 }], ['admin', 'http'], undefined, ['http:9']],
  ])('ports: %s', (_title, ports, names, named, expected) => {
    const { instances } = sliceInstances([endpointSlice.parse(slice('a', [pod('p', '10.0.0.1')], { ports }))], {
      service: 'payments', ports: names.map((name) => ({ name, port: 80 })), discovery: { source: 'kubernetes', kubernetes: named ? { ports: named } : {} },
    });
    expect(instances[0]?.ports.map(({ name, port }) => `${name}:${port}`)).toEqual(expected);
  });

  test('what cannot be used is said', () => {
    expect(read(slice('names', [], { addressType: 'FQDN' })).problems).toEqual(['names: addresses of type FQDN are not used']);
    expect(sliceInstances([endpointSlice.parse(slice('a', [pod('p', '10.0.0.1')], { ports: [{ name: 'x', port: 1 }, { name: 'y', port: 2 }] }))], target).problems).toEqual(['a: none of its ports is one of http; `ports` says which is which']);
  });
});
