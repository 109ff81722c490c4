import { ConsumersPart } from '@remora/proto/gen/remora/consumers/v1/consumers';
import { describe, expect, test } from 'vitest';
import { claimText, claimValue } from './claim-value.ts';
import { consumerDirectory } from './consumer-directory.ts';
import { FactBooks } from './facts.ts';

const issuer = 'https://kc.example/realms/shop';

function part(fields: Partial<ConsumersPart>): Uint8Array {
  return ConsumersPart.encode(ConsumersPart.fromPartial(fields)).finish();
}

const consumer = (name: string, identities: { issuer: string; claim: string; value: string }[] = [], plan = ''): ConsumersPart['consumers'][number] => ({ name, groups: ['g'], plan, identities });

describe('the directory of consumers', () => {
  const books = new FactBooks();
  const book = books.of('consumers');
  const write = (facts: Record<string, Uint8Array | null>, full = false): void => books.apply({ kind: 'consumers', full, facts: new Map(Object.entries(facts)) });

  test('is one for a book, and knows nothing before something came', () => {
    const directory = consumerDirectory(book);
    expect(consumerDirectory(book)).toBe(directory);
    expect(directory.known).toBe(false);
    expect(directory.byName('a')).toBeNull();
    expect(directory.byIdentity(issuer, { azp: 'a' })).toBeNull();
    expect(directory.lookupKey).toBeNull();
  });

  test('finds consumers by what proves them, and joins credentials with their consumer', () => {
    write({
      key: part({ lookupKey: Buffer.alloc(32, 7) }),
      plans: part({ plans: [{ name: 'gold', quotas: [], limits: [{ name: 'm', algorithm: 'tokenBucket', requests: 5, perMs: 1000, burst: 5, sharedBy: 'instance' }, { name: 'x', algorithm: 'new', requests: 5, perMs: 1000, burst: 5, sharedBy: 'instance' }] }] }),
      'consumers.3': part({ consumers: [consumer('a', [{ issuer, claim: 'azp', value: 'app' }, { issuer, claim: 'nested.roles', value: 'r2' }], 'gold')] }),
      'apiKey.3': part({ apiKeys: [{ consumer: 'a', id: 'k1', digest: Buffer.from('digest'), expiresMs: 5n }, { consumer: 'nobody', id: 'k2', digest: Buffer.from('other'), expiresMs: 0n }] }),
      'jwt.3': part({ tokenKeys: [{ consumer: 'a', id: 't', keyId: 'kid', algorithm: 'HS256', key: Buffer.from('s'), issuer: 'me', expiresMs: 0n }] }),
      'certificate.3': part({ certificates: [{ consumer: 'a', id: 'c', match: 'dns', value: 'a.example', expiresMs: 0n }] }),
    });
    const directory = consumerDirectory(book);
    const facts = directory.byName('a');
    expect(facts).toEqual({ name: 'a', groups: ['g'], plan: 'gold' });
    expect(directory.byIdentity(issuer, { azp: 'app' })).toBe(facts);
    expect(directory.byIdentity(issuer, { nested: { roles: ['r1', 'r2'] } })).toBe(facts);
    expect(directory.byIdentity('https://other.example', { azp: 'app' })).toBeNull();
    expect(directory.byApiKey(Buffer.from('digest').toString('base64'))).toMatchObject({ consumer: facts, id: 'k1', expiresMs: 5 });
    expect(directory.byApiKey(Buffer.from('other').toString('base64'))).toBeNull();
    expect(directory.byKeyId('jwt', 'kid', 'me')?.consumer).toBe(facts);
    expect(directory.byKeyId('jwt', 'kid')).toBeNull();
    expect(directory.tokenKeys('me')).toHaveLength(1);
    expect(directory.byCertificate({ fingerprint: '', subject: '', dnsNames: ['A.example'], uris: [], emails: [] })?.consumer).toBe(facts);
    expect(directory.plan('gold')?.limits.map(({ name }) => name)).toEqual(['m']);
    expect(directory.lookupKey?.length).toBe(32);
  });

  test('reads only what changed, and gives a credential its consumer as it is now', () => {
    const directory = consumerDirectory(book);
    write({ 'consumers.9': part({ consumers: [consumer('b', [{ issuer, claim: 'azp', value: 'b' }])] }) });
    const before = directory.byName('a');
    expect(directory.byName('b')?.name).toBe('b');
    expect(directory.byName('a')).toBe(before);
    write({ 'consumers.3': part({ consumers: [consumer('a', [], 'silver')] }) });
    expect(directory.byApiKey(Buffer.from('digest').toString('base64'))?.consumer.plan).toBe('silver');
    expect(directory.byIdentity(issuer, { azp: 'app' })).toBeNull();
    expect(directory.byIdentity(issuer, { azp: 'b' })?.name).toBe('b');
  });

  test('an identity that moves to a consumer of another part is never without owner for good', () => {
    const directory = consumerDirectory(book);
    write({ 'consumers.20': part({ consumers: [consumer('c', [{ issuer, claim: 'azp', value: 'b' }])] }) });
    write({ 'consumers.9': part({ consumers: [consumer('b')] }) });
    expect(directory.byIdentity(issuer, { azp: 'b' })?.name).toBe('c');
    write({ 'consumers.9': null, 'apiKey.3': null });
    expect(directory.byName('b')).toBeNull();
    expect(directory.byApiKey(Buffer.from('digest').toString('base64'))).toBeNull();
    write({}, true);
    expect(directory.byName('a')).toBeNull();
    expect(directory.lookupKey).toBeNull();
  });

  test('names of claims and consumers are literal', () => {
    const directory = consumerDirectory(book);
    write({ 'consumers.1': part({ consumers: [consumer('__proto__', [{ issuer, claim: '__proto__', value: 'x' }, { issuer, claim: 'constructor.name', value: 'Object' }])] }) });
    expect(directory.byName('toString')).toBeNull();
    expect(directory.byIdentity(issuer, {})).toBeNull();
    expect(directory.byIdentity(issuer, JSON.parse('{"__proto__": "x"}') as Record<string, string>)?.name).toBe('__proto__');
  });
});

test.each([
  [{ a: { b: 'x' } }, 'a.b', 'x'],
  [{ 'a.b': 'y', a: { b: 'x' } }, 'a.b', 'y'],
  [{ 'https://s.example/app': { id: ['1', 2, true, null] } }, 'https://s.example/app.id', '1,2,true,'],
  [{ a: [1] }, 'a.0', ''],
  [{ a: null }, 'a', ''],
  [{ a: { b: { c: 1 } } }, 'a.b', '{"c":1}'],
  [{ a: 1 }, 'toString', ''],
] as const)('claims of %j: %s is %j', (claims, path, text) => {
  expect(claimText(claims, path)).toBe(text);
  expect(claimValue(claims, 'missing')).toBeUndefined();
});
