import { scratchFolder } from '@remora/testing/scratch-folder';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { DnsClient } from './dns-client.ts';
import { candidatesOf, createDnsLookup } from './dns-lookup.ts';
import type { DnsMessage } from './dns-message.ts';
import { parseHosts, parseResolv, readSystemNames, type SystemNames } from './system-names.ts';

const resolv = '# made by hand\nnameserver 10.0.0.53\nnameserver fd00::53 ; second\nnameserver nonsense\nnameserver 10.0.0.54\nnameserver 10.0.0.55\nsearch shop.svc.cluster.local svc.cluster.local\noptions timeout:1 ndots:5\n';
const hosts = '127.0.0.1 localhost\n10.0.0.1\tDB.internal db # the old one\nfd00::1 db.internal\nnonsense x\n';

test('/etc/resolv.conf', () => {
  expect(parseResolv(resolv)).toEqual({
    servers: [{ host: '10.0.0.53', port: 53 }, { host: 'fd00::53', port: 53 }, { host: '10.0.0.54', port: 53 }], search: ['shop.svc.cluster.local', 'svc.cluster.local'], ndots: 5,
  });
  expect(parseResolv('')).toEqual({ servers: [{ host: '127.0.0.1', port: 53 }], search: [], ndots: 1 });
});

test('/etc/hosts', () => {
  expect([...parseHosts(hosts)]).toEqual([['localhost', ['127.0.0.1']], ['db.internal', ['10.0.0.1', 'fd00::1']], ['db', ['10.0.0.1']]]);
});

test('files are read at each use; one that is missing says nothing', async () => {
  const folder = scratchFolder('names');
  writeFileSync(path.join(folder, 'resolv'), resolv);
  const names = await readSystemNames({ resolv: path.join(folder, 'resolv'), hosts: path.join(folder, 'none') });
  expect([names.ndots, names.hosts.size]).toEqual([5, 0]);
});

test.each([
  ['payments', ['payments.a.test', 'payments.b.test', 'payments']],
  ['payments.shop', ['payments.shop', 'payments.shop.a.test', 'payments.shop.b.test']],
  ['payments.', ['payments.']],
])('%s may be %j', (name, candidates) => {
  expect(candidatesOf(name, { search: ['a.test', 'b.test.'], ndots: 1 })).toEqual(candidates);
});

describe('a look-up', () => {
  const system: SystemNames = { servers: [{ host: '10.0.0.53', port: 53 }], search: ['shop.test'], ndots: 1, hosts: parseHosts(hosts) };
  function lookupWith(known: Readonly<Record<string, string>>, servers: readonly { host: string; port: number }[] = []): { asked: string[]; lookup: ReturnType<typeof createDnsLookup> } {
    const asked: string[] = [];
    const client: DnsClient = {
      ask: (at, name, type): Promise<DnsMessage> => {
        asked.push(`${at[0]?.host ?? ''} ${name}`);
        const address = known[name];
        return Promise.resolve({ id: 0, isResponse: true, truncated: false, code: address === undefined ? 3 : 0, question: { name, type: 1 }, answers: address === undefined || type === 'SRV' ? [] : [{ type, name, ttlS: 9, address }], additional: [], negativeTtlS: null });
      },
    };
    return { asked, lookup: createDnsLookup({ client, servers, system: () => Promise.resolve(system) }) };
  }

  test('is answered by /etc/hosts first, by family', async () => {
    const { asked, lookup } = lookupWith({});
    expect((await lookup('DB.internal', 'A')).records).toMatchObject([{ address: '10.0.0.1' }]);
    expect((await lookup('db.internal.', 'AAAA')).records).toMatchObject([{ address: 'fd00::1' }]);
    expect((await lookup('db', 'AAAA')).reason).toBe('it has no AAAA record');
    expect(asked).toEqual([]);
  });

  test('goes through the search domains', async () => {
    const { asked, lookup } = lookupWith({ payments: '10.0.0.9' });
    expect(await lookup('payments', 'A')).toMatchObject({ records: [{ address: '10.0.0.9' }], ttlS: 9 });
    expect(asked).toEqual(['10.0.0.53 payments.shop.test', '10.0.0.53 payments']);
    expect((await lookup('nothing', 'A')).reason).toBe('there is no such name (NXDOMAIN)');
  });

  test('at servers that were given asks them alone', async () => {
    const { asked, lookup } = lookupWith({}, [{ host: '10.0.0.1', port: 5353 }]);
    await lookup('db', 'A');
    expect(asked).toEqual(['10.0.0.1 db']);
  });

  test('for localhost leaves the machine never', async () => {
    const { asked, lookup } = lookupWith({}, [{ host: '10.0.0.1', port: 5353 }]);
    expect((await lookup('localhost', 'A')).records).toMatchObject([{ address: '127.0.0.1' }]);
    expect((await lookup('app.localhost.', 'AAAA')).records).toMatchObject([{ address: '::1' }]);
    expect(asked).toEqual([]);
  });
});
