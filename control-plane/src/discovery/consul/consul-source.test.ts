import { systemClock, systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { SourceTarget } from '../discovery-source.ts';
import { describeSource, paymentsTarget, Recorder } from '../testdata/source-contract.ts';
import { ConsulDouble, healthEntry } from './testdata/consul-double.ts';
import { consulInstances } from './consul-instances.ts';
import { createConsulSource, nextIndex, type ConsulSourceDeps } from './consul-source.ts';

const hasty = { after: (ms: number, run: () => void) => systemTimers.after(ms / 50, run), every: (ms: number, run: () => void) => systemTimers.every(ms / 50, run) };
const target: SourceTarget = { ...paymentsTarget, discovery: { source: 'consul' } };

function source(agent: { readonly address: string }, more: Partial<ConsulSourceDeps> = {}): ReturnType<typeof createConsulSource> {
  return createConsulSource({ address: agent.address, token: () => '', authority: () => '', timers: hasty, clock: systemClock, random: seededRandom(1), limits: { waitMs: 200, graceMs: 200 }, ...more });
}

describeSource('Consul', { emptyIsAnswer: true, hangs: true }, async () => {
  const agent = await new ConsulDouble().listen();
  return {
    source: source(agent),
    discovery: { source: 'consul' },
    async put(places) { agent.put(places.map(({ host, port }) => healthEntry(`payments-${host}`, { address: host, port }))); },
    async break() { agent.failing = { status: 500, text: 'No cluster leader' }; agent.wake(); },
    async hang() { agent.silent = true; },
    async mend() { [agent.failing, agent.silent] = [null, false]; },
    end: () => agent.close(),
  };
});

describe('what a Consul agent may do', () => {
  const ends: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });
  async function follow(more: Partial<ConsulSourceDeps> = {}, discovery: SourceTarget['discovery'] = { source: 'consul' }, tls?: { key: string; cert: string }): Promise<{ agent: ConsulDouble; seen: Recorder }> {
    const agent = await new ConsulDouble(tls).listen();
    agent.put([healthEntry('a')]);
    const seen = new Recorder();
    const made = source(agent, more);
    ends.push(() => agent.close(), () => made.close());
    made.follow({ ...paymentsTarget, discovery }, seen);
    return { agent, seen };
  }

  test('a question waits for a change, with the index of the last answer', async () => {
    const { agent, seen } = await follow();
    await vi.waitFor(() => expect(agent.questions.length).toBeGreaterThan(1));
    expect(agent.questions.map(({ url }) => [url.pathname, url.searchParams.get('index'), url.searchParams.get('wait')]).slice(0, 2)).toEqual([
      ['/v1/health/service/payments', null, null], ['/v1/health/service/payments', '101', '200ms'],
    ]);
    agent.put([healthEntry('a'), healthEntry('b', { address: '10.0.0.2' })]);
    await vi.waitFor(() => expect(seen.places()).toEqual(['10.0.0.2:8080', '10.1.10.12:8080']));
  });

  test('an index that goes back is asked for anew, and its answer is taken', async () => {
    const { agent, seen } = await follow();
    await vi.waitFor(() => expect(agent.questions.length).toBeGreaterThan(1));
    agent.put([healthEntry('b', { address: '10.0.0.2' })], 3);
    await vi.waitFor(() => expect(seen.places()).toEqual(['10.0.0.2:8080']));
    await vi.waitFor(() => expect(agent.questions.map(({ url }) => url.searchParams.get('index')).slice(2, 4)).toEqual([null, '3']));
  });

  test.each([['100', '101', '101'], ['100', '100', '100'], ['100', '7', '0'], ['100', undefined, '0'], ['100', 'x', '0'], ['0', '0', '0'], ['9007199254740993', '9007199254740994', '9007199254740994']])(
    'index %s, then %s: asked with %s', (before, header, next) => {
      expect(nextIndex(before, header)).toBe(next);
    },
  );

  test('datacentre, namespace, partition, tags and the token of now are in the question', async () => {
    let token = 'first';
    const { agent } = await follow({ token: () => token }, { source: 'consul', consul: { service: 'pay', datacentre: 'eu', namespace: 'shop', partition: 'p', tags: ['v2', 'a "b"'] } });
    await vi.waitFor(() => expect(agent.questions.length).toBeGreaterThan(1));
    token = 'second';
    agent.wake();
    await vi.waitFor(() => expect(agent.questions.at(-1)?.token).toBe('second'));
    const [first] = agent.questions;
    expect(first).toMatchObject({ token: 'first', namespace: 'shop' });
    expect(first?.url.pathname).toBe('/v1/health/service/pay');
    expect(Object.fromEntries(first?.url.searchParams ?? [])).toMatchObject({ dc: 'eu', partition: 'p', filter: '"v2" in Service.Tags and "a \\"b\\"" in Service.Tags' });
  });

  test('a failure says what the agent said, and nothing of the token', async () => {
    const { agent, seen } = await follow({ token: () => 'hidden-token' });
    await vi.waitFor(() => expect(seen.answers).toHaveLength(1));
    agent.failing = { status: 403, text: "Permission denied: token with AccessorID '00000000' lacks permission 'service:read' on \"payments\"" };
    agent.wake();
    await vi.waitFor(() => expect(seen.failures.join()).toContain('payments: the token may not read it (403: Permission denied'));
    expect(seen.failures.join()).not.toContain('hidden-token');
  });

  test.each<[string, (agent: ConsulDouble) => void, string]>([
    ['no JSON', (agent) => { agent.answer = (response) => void response.writeHead(200, { 'content-type': 'application/json', 'x-consul-index': '1' }).end('{'); }, 'payments: '],
    ['another shape', (agent) => { agent.answer = (response) => void response.writeHead(200, { 'content-type': 'application/json', 'x-consul-index': '1' }).end('{}'); }, 'its answer is no list of instances'],
    ['an answer without end', (agent) => { agent.answer = (response) => { response.writeHead(200, { 'content-type': 'application/json', 'x-consul-index': '1' }); response.write(Buffer.alloc(200_000, ' ')); }; }, 'bytes'],
    ['a connection that ends', (agent) => { agent.answer = (response) => void response.socket?.destroy(); }, 'ECONNRESET'],
  ])('%s is a failure', async (_title, spoil, message) => {
    const { agent, seen } = await follow({ limits: { waitMs: 100, graceMs: 300, answerBytes: 100_000 } });
    await vi.waitFor(() => expect(seen.answers).toHaveLength(1));
    spoil(agent);
    agent.wake();
    await vi.waitFor(() => expect(seen.failures.join()).toContain(message));
  });

  test('over TLS: an authority that is not known is a failure, and one that is put in its place is used', async () => {
    const authority = new TestAuthority();
    const { key, cert } = authority.issue({ addresses: ['127.0.0.1'] });
    let known = new TestAuthority('another').cert;
    const { seen } = await follow({ authority: () => known }, { source: 'consul' }, { key, cert });
    await vi.waitFor(() => expect(seen.failures.length).toBeGreaterThan(0));
    known = authority.cert;
    await vi.waitFor(() => expect(seen.answers.length).toBeGreaterThan(0));
  });
});

describe('instances of Consul', () => {
  const check = (Status: string, CheckID = 'service:payments'): { CheckID: string; Status: string } => ({ CheckID, Status });
  const weights = { Weights: { Passing: 10, Warning: 2 } };

  test.each([
    ['passing', [check('passing')], { weight: 10, draining: false }],
    ['no check at all', [], { weight: 10, draining: false }],
    ['one warns', [check('passing'), check('warning')], { weight: 2, draining: false }],
    ['one is critical', [check('warning'), check('critical')], null],
    ['the node is gone', [check('critical', 'serfHealth')], null],
    ['the service is in maintenance', [check('passing'), check('critical', '_service_maintenance:payments')], { draining: true }],
    ['the node is in maintenance', [check('critical', '_node_maintenance')], { draining: true }],
  ])('%s', (_title, checks, expected) => {
    const { instances } = consulInstances([healthEntry('a', { checks, service: weights })], target);
    expect(instances).toMatchObject(expected === null ? [] : [expected]);
  });

  test('metadata and tags are labels, zone or datacentre the locality, other ports in the metadata', () => {
    const { instances, problems } = consulInstances([
      healthEntry('a', { service: { Tags: ['v2', 'tier=gold', 'not a label'], Meta: { version: '1.2', 'remora-port-admin': '9999' }, Locality: { Region: 'eu', Zone: 'eu-a' } } }),
      healthEntry('b', { address: '10.0.0.2', service: { Meta: { tier: 'x' } } }),
    ], { service: 'payments', ports: [{ name: 'admin', port: 9000 }, { name: 'http', port: 80 }], discovery: { source: 'consul', consul: { port: 'http' } } });
    expect(instances).toEqual([
      { id: 'node-1/a', ports: [{ name: 'admin', host: '10.1.10.12', port: 9999 }, { name: 'http', host: '10.1.10.12', port: 8080 }], labels: { v2: 'true', tier: 'gold', version: '1.2' }, locality: 'eu/eu-a', weight: 1, backup: false, draining: false },
      { id: 'node-1/b', ports: [{ name: 'admin', host: '10.0.0.2', port: 9000 }, { name: 'http', host: '10.0.0.2', port: 8080 }], labels: { tier: 'x' }, locality: 'dc1', weight: 1, backup: false, draining: false },
    ]);
    expect(problems).toEqual(['node-1/a: not a label cannot be labels']);
  });

  test('entries of another shape are left out and said', () => {
    const { instances, problems } = consulInstances([{}, healthEntry('a'), healthEntry('b', { service: { Port: 'http' } })], target);
    expect(instances).toHaveLength(1);
    expect(problems.map((text) => text.split(':').slice(0, 2).join(':'))).toEqual(['entry 0: /Node', 'entry 2: /Service/Port']);
  });
});
