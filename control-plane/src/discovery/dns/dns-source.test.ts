import { systemTimers } from '@remora/core/clock';
import { seededRandom } from '@remora/core/random';
import { ManualTimers, settle } from '@remora/testing/manual-timers';
import { afterEach, describe, expect, test } from 'vitest';
import { describeSource, paymentsTarget, Recorder } from '../testdata/source-contract.ts';
import { createDnsClient, DnsError } from './dns-client.ts';
import { createDnsLookup, type DnsFound, type DnsLookup } from './dns-lookup.ts';
import type { DnsRecord, DnsType } from './dns-message.ts';
import { DnsServerDouble } from './testdata/dns-server-double.ts';
import { createDnsSource } from './dns-source.ts';

const noSystem = (): Promise<never> => Promise.reject(new Error('the machine is not asked'));
/** Times are a hundredth of what documents say: tests do not wait for seconds. */
const hasty = { after: (ms: number, run: () => void) => systemTimers.after(ms / 100, run), every: (ms: number, run: () => void) => systemTimers.every(ms / 100, run) };

function lookupAt(...servers: readonly DnsServerDouble[]): DnsLookup {
  return createDnsLookup({ client: createDnsClient({ timers: systemTimers, limits: { attemptMs: 100 } }), servers: servers.map(({ port }) => ({ host: '127.0.0.1', port })), system: noSystem });
}

const a = (name: string, address: string, ttlS = 60): DnsRecord => ({ type: 'A', name, ttlS, address });
const aaaa = (name: string, address: string, ttlS = 60): DnsRecord => ({ type: 'AAAA', name, ttlS, address });
const srv = (name: string, target: string, port: number, more: { priority?: number; weight?: number; ttlS?: number } = {}): DnsRecord => ({ type: 'SRV', name, ttlS: 60, priority: 0, weight: 0, ...more, target, port });

for (const records of ['addresses', 'srv'] as const) {
  describeSource(`DNS, ${records}`, { emptyIsAnswer: false, hangs: true }, async () => {
    const server = await new DnsServerDouble().listen();
    return {
      source: createDnsSource({ lookup: lookupAt(server), timers: hasty, random: seededRandom(1) }),
      discovery: { source: 'dns', dns: { name: 'payments.test', records, minTtl: '1s' } },
      async put(places) {
        if (records === 'addresses') return server.put('payments.test', { records: places.map(({ host }) => a('payments.test', host, 1)) });
        server.put('payments.test', {
          records: places.map(({ host, port }) => srv('payments.test', `h${host.replaceAll('.', '-')}.test`, port, { ttlS: 1 })),
          additional: places.map(({ host }) => a(`h${host.replaceAll('.', '-')}.test`, host, 1)),
        });
      },
      async break() { server.failing = 2; },
      async hang() { server.silent = true; },
      async mend() { [server.failing, server.silent] = [0, false]; },
      end: () => server.close(),
    };
  });
}

describe('DNS over the network', () => {
  const servers: DnsServerDouble[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });
  const serve = async (): Promise<DnsServerDouble> => {
    const server = await new DnsServerDouble().listen();
    servers.push(server);
    return server;
  };

  test('an answer that is cut off is asked for again over TCP', async () => {
    const server = await serve();
    server.truncating = true;
    server.put('many.test', { records: Array.from({ length: 200 }, (_, i) => a('many.test', `10.0.0.${i + 1}`)) });
    expect((await lookupAt(server)('many.test', 'A')).records).toHaveLength(200);
  });

  test('answers to other questions, and rubbish, are passed over', async () => {
    const server = await serve();
    server.put('a.test', { records: [a('a.test', '10.0.0.1')] });
    const forgeries: ((question: Buffer) => Buffer)[] = [
      () => Buffer.from('no DNS'),
      (question) => { const other = Buffer.from(question); other.writeUInt16BE((question.readUInt16BE(0) + 1) & 0xffff, 0); other[2] = 0x81; return other; },
      (question) => Buffer.from(question),
    ];
    for (const forged of forgeries) {
      server.forged = forged;
      expect((await lookupAt(server)('a.test', 'A')).records).toMatchObject([{ address: '10.0.0.1' }]);
    }
  });

  test('a server that fails, is silent or gone: the next one answers; where none does, each is named with its reason', async () => {
    const [failing, silent, good] = [await serve(), await serve(), await serve()];
    const gone = await new DnsServerDouble().listen();
    await gone.close();
    failing.failing = 2;
    silent.silent = true;
    good.put('a.test', { records: [a('a.test', '10.0.0.1')] });
    expect((await lookupAt(failing, silent, gone, good)('a.test', 'A')).records).toHaveLength(1);
    const error = await lookupAt(failing, silent, gone)('a.test', 'A').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DnsError);
    expect(String(error)).toMatch(new RegExp(`${failing.port}: server failure \\(SERVFAIL\\).*${silent.port}: no answer within 100 ms.*${gone.port}: ECONNREFUSED`));
  });

  test('aliases are followed, with the shortest time to live; loops end', async () => {
    const server = await serve();
    const alias = (name: string, target: string, ttlS: number): DnsRecord => ({ type: 'CNAME', name, ttlS, target });
    server.put('a.test', { records: [alias('a.test', 'b.test', 7), alias('b.test', 'c.test', 100), a('c.test', '10.0.0.1', 50)] });
    server.put('loop.test', { records: [alias('loop.test', 'loop.test', 7)] });
    expect(await lookupAt(server)('A.test.', 'A')).toMatchObject({ ttlS: 7, records: [{ address: '10.0.0.1' }] });
    expect((await lookupAt(server)('loop.test', 'A')).reason).toBe('it has no A record');
  });
});

describe('what DNS answers', () => {
  /** Answers from a table; null: nobody answers. */
  function follow(dns: Record<string, unknown>, table: Record<string, DnsFound | null>): { seen: Recorder; timers: ManualTimers; asked: string[] } {
    const timers = new ManualTimers();
    const seen = new Recorder();
    const asked: string[] = [];
    const lookup = (name: string, type: DnsType): Promise<DnsFound> => {
      asked.push(`${name} ${type}`);
      const found = table[`${name} ${type}`];
      if (found === null) return Promise.reject(new DnsError('10.0.0.53:53: no answer within 1500 ms'));
      return Promise.resolve(found ?? { records: [], additional: [], ttlS: 30, reason: 'there is no such name (NXDOMAIN)' });
    };
    const source = createDnsSource({ lookup, timers, random: { next: () => 0 } });
    source.follow({ ...paymentsTarget, discovery: { source: 'dns', dns: { name: 'p.test', ...dns } } }, seen);
    return { seen, timers, asked };
  }
  const found = (...records: DnsRecord[]): DnsFound => ({ records, additional: [], ttlS: records[0]?.ttlS ?? 0, reason: records.length > 0 ? '' : 'it has no A record' });

  test.each<[string, Record<string, unknown>, Record<string, DnsFound | null>, string[]]>([
    ['A', {}, { 'p.test A': found(a('p.test', '10.0.0.2'), a('p.test', '10.0.0.1')) }, ['10.0.0.1:8080', '10.0.0.2:8080']],
    ['A before AAAA', {}, { 'p.test A': found(a('p.test', '10.0.0.1')), 'p.test AAAA': found(aaaa('p.test', 'fd00::1')) }, ['10.0.0.1:8080']],
    ['AAAA where there is no A', {}, { 'p.test A': found(), 'p.test AAAA': found(aaaa('p.test', 'fd00::1')) }, ['fd00::1:8080']],
    ['both', { addresses: 'both' }, { 'p.test A': found(a('p.test', '10.0.0.1')), 'p.test AAAA': found(aaaa('p.test', 'fd00::1')) }, ['10.0.0.1:8080', 'fd00::1:8080']],
    ['only AAAA', { addresses: 'ipv6' }, { 'p.test AAAA': found(aaaa('p.test', 'fd00::1')) }, ['fd00::1:8080']],
    ['another port', { port: 9090 }, { 'p.test A': found(a('p.test', '10.0.0.1')) }, ['10.0.0.1:9090']],
    ['a port by name', { ports: { http: 9091 } }, { 'p.test A': found(a('p.test', '10.0.0.1')) }, ['10.0.0.1:9091']],
  ])('%s', async (_title, dns, table, places) => {
    const { seen } = follow(dns, table);
    await settle();
    expect(seen.failures).toEqual([]);
    expect(seen.places()).toEqual(places);
  });

  test.each<[string, Record<string, unknown>, Record<string, DnsFound | null>, string]>([
    ['no such name', {}, {}, 'DNS, p.test: there is no such name (NXDOMAIN)'],
    ['no record', {}, { 'p.test A': found(), 'p.test AAAA': { ...found(), reason: 'it has no AAAA record' } }, 'DNS, p.test: it has no address'],
    ['nobody answers', {}, { 'p.test A': null }, 'DNS, p.test: 10.0.0.53:53: no answer within 1500 ms'],
    ['an SRV record that says no', { records: 'srv' }, { 'p.test SRV': found(srv('p.test', '.', 0)) }, 'its SRV record says that there is no such service'],
    ['SRV without addresses', { records: 'srv' }, { 'p.test SRV': found(srv('p.test', 'h.test', 80)) }, 'DNS, p.test: h.test: there is no such name (NXDOMAIN)'],
  ])('a failure: %s', async (_title, dns, table, message) => {
    const { seen } = follow(dns, table);
    await settle();
    expect(seen.answers).toEqual([]);
    expect(seen.failures.join()).toContain(message);
  });

  test('SRV: ports, weights, priorities as backup, addresses that came along or are asked for, and what has none', async () => {
    const { seen } = follow({ records: 'srv', labels: { zone: 'a' }, locality: 'eu' }, {
      'p.test SRV': {
        records: [srv('p.test', 'h1.test', 81, { priority: 1, weight: 10 }), srv('p.test', 'h2.test', 82, { priority: 1, weight: 0 }), srv('p.test', 'h3.test', 83, { priority: 2, weight: 5 }), srv('p.test', 'h4.test', 84, { priority: 1 })],
        additional: [a('h1.test', '10.0.0.1'), a('other.test', '10.9.9.9')], ttlS: 60, reason: '',
      },
      'h2.test. A': found(a('h2.test', '10.0.0.2')), 'h3.test. A': found(a('h3.test', '10.0.0.3')),
    });
    await settle();
    expect(seen.answers.at(-1)?.map(({ id, ports, weight, backup, labels, locality }) => [id, ports[0]?.port, weight, backup, labels, locality])).toEqual([
      ['h1.test:81/10.0.0.1', 81, 10, false, { zone: 'a' }, 'eu'], ['h2.test:82/10.0.0.2', 82, 1, false, { zone: 'a' }, 'eu'], ['h3.test:83/10.0.0.3', 83, 5, true, { zone: 'a' }, 'eu'],
    ]);
    expect(seen.problems).toEqual(['h4.test: there is no such name (NXDOMAIN)']);
  });

  test.each([
    ['as the answer says', {}, 60, 60_000],
    ['not before minTtl', {}, 0, 5_000],
    ['its own minTtl', { minTtl: '1s' }, 0, 1_000],
    ['at maxTtl at the latest', {}, 86_400, 300_000],
    ['its own maxTtl', { maxTtl: '10s' }, 86_400, 10_000],
  ])('asked again %s', async (_title, dns, ttlS, ms) => {
    const { timers, asked } = follow(dns, { 'p.test A': found(a('p.test', '10.0.0.1', ttlS)) });
    await timers.advance(ms - 1);
    expect(asked).toHaveLength(1);
    await timers.advance(1);
    expect(asked).toHaveLength(2);
  });

  test('after failures it is asked after 1, 2, 4 … at most 30 s', async () => {
    const { timers, asked } = follow({ addresses: 'ipv4' }, { 'p.test A': null });
    const times: number[] = [];
    for (let second = 0; second < 100; second++) {
      const before = asked.length;
      await timers.advance(1_000);
      if (asked.length > before) times.push(second + 1);
    }
    expect(times).toEqual([1, 3, 7, 15, 31, 61, 91]);
  });
});
