import { constants, createHash, createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import { HOLD, WAIT, type Answer, type EdgeFilter, type Exchange } from '@remora/policy-kit/exchange';
import { consumerFacts, consumersNamed } from '@remora/testing/consumer-facts';
import { effectiveSection } from '@remora/testing/effective-section';
import { headLines, makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { heldBody } from '@remora/testing/held-body';
import { testKindCases } from '@remora/testing/kind-cases';
import { beforeEach, describe, expect, test } from 'vitest';
import { hmacAuthoring } from './compile.ts';
import { hmacRuntime } from './filter.ts';

testKindCases(import.meta.dirname, hmacAuthoring, hmacRuntime);

interface TestKey {
  readonly keyId: string;
  readonly algorithm: string;
  readonly key: Buffer;
  readonly expiresMs?: number;
}

let context: TestFilterContext;
beforeEach(() => {
  context = new TestFilterContext('hmac');
});

function know(...keys: readonly TestKey[]): void {
  context.factBooks.apply(consumerFacts({
    'consumers.1': { consumers: consumersNamed('partner') },
    'hmac.1': { signingKeys: keys.map(({ keyId, algorithm, key, expiresMs = 0 }) => ({ consumer: 'partner', id: keyId, keyId, algorithm, key, issuer: '', expiresMs: BigInt(expiresMs) })) },
  }));
}

function build(section: JsonObject): EdgeFilter {
  const filter = hmacRuntime.edge?.(hmacRuntime.decode(hmacAuthoring.compile(effectiveSection(hmacAuthoring, section)).body), context);
  if (!filter) throw new Error('no filter');
  return filter;
}

interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly bodyLength?: number;
  readonly authority?: string;
  /** What is held of it, where it is held. */
  readonly body?: string;
}

async function ask(filter: EdgeFilter, { method = 'POST', target = '/foo?param=Value&Pet=dog', authority = 'example.com', headers, bodyLength = 0, body = '' }: Asked): Promise<Exchange> {
  const x = makeExchange({ request: { method, authority, target, headers, bodyLength } }, context);
  const decided = new Promise<boolean>((resolve) => {
    x.proceed = () => resolve(false);
    x.hold = () => resolve(true);
  });
  const verdict = filter.request?.(x);
  if (verdict === HOLD || (verdict === WAIT && await decided)) filter.requestHeld?.(x, heldBody(body));
  return x;
}

const outcome = ({ identity }: Exchange): string => identity?.failure?.reason.code ?? identity?.consumer?.name ?? 'nothing';

describe('the vectors of RFC 9421, appendix B.2', () => {
  const pss = Buffer.from('MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5WUtzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI2wIDAQAB', 'base64');
  const keys: readonly TestKey[] = [
    { keyId: 'test-key-rsa-pss', algorithm: 'rsa-pss-sha512', key: pss },
    { keyId: 'test-shared-secret', algorithm: 'hmac-sha256', key: Buffer.from('uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==', 'base64') },
    { keyId: 'test-key-ed25519', algorithm: 'ed25519', key: Buffer.from('MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=', 'base64') },
  ];
  const fields = {
    date: 'Tue, 20 Apr 2021 02:07:55 GMT', 'content-type': 'application/json', 'content-length': '18',
    'content-digest': 'sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:',
  };
  const vectors = [
    ['B.2.2, selected components', 'sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"',
      'sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:'],
    ['B.2.3, full coverage', 'sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"',
      'sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:'],
    ['B.2.5, a shared secret', 'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"', 'sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:'],
    ['B.2.6, Ed25519', 'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      'sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:'],
  ] as const;

  beforeEach(() => {
    know(...keys);
    context.clock.stepWall(1_618_884_475_000 - context.clock.wallMs());
  });

  test.each(vectors)('%s', async (_name, input, signature) => {
    const filter = build({ components: [], contentDigest: 'optional' });
    const headers = { ...fields, 'signature-input': input, signature };
    expect(outcome(await ask(filter, { headers, bodyLength: 18, body: '{"hello": "world"}' }))).toBe('partner');
    const lines = Object.entries(fields).filter(([name]) => input.includes(`"${name}"`));
    for (const [name] of lines) expect(outcome(await ask(filter, { headers: { ...headers, [name]: 'changed' }, bodyLength: 18 }))).toBe('signature-invalid');
    expect(outcome(await ask(filter, { headers, bodyLength: 18, authority: 'example.org' }))).toBe('signature-invalid');
  });
});

const secret = Buffer.alloc(32, 5);
const shared: TestKey = { keyId: 'k1', algorithm: 'hmac-sha256', key: secret };

interface Signing {
  readonly components?: string;
  readonly parameters?: string;
  readonly base?: string;
  readonly label?: string;
}

/** Signs `GET /a?b=1` of example.com. */
function signed({ components = '"@method" "@authority" "@path" "@query"', parameters = '', base = '"@method": GET\n"@authority": example.com\n"@path": /a\n"@query": ?b=1\n', label = 's' }: Signing = {}): Record<string, string> {
  const created = Math.floor(context.clock.wallMs() / 1000);
  const input = `(${components});created=${created};keyid="k1"${parameters}`;
  const signature = createHmac('sha256', secret).update(`${base}"@signature-params": ${input}`).digest('base64');
  return { 'signature-input': `${label}=${input}`, signature: `${label}=:${signature}:` };
}

const get = { method: 'GET', target: '/a?b=1' };

describe('what a signature must be', () => {
  beforeEach(() => know(shared));

  test('a good one proves its consumer, and is forwarded or not as was asked', async () => {
    const x = await ask(build({ enabled: true }), { ...get, headers: signed() });
    expect(x.identity).toMatchObject({ consumer: { name: 'partner' }, subject: 'k1', failure: null });
    expect(headLines(x.head).join()).toContain('signature-input');
    expect(headLines((await ask(build({ forwardSignature: false }), { ...get, headers: signed() })).head).join()).not.toContain('signature');
  });

  test.each<[string, JsonObject, (headers: Record<string, string>) => Record<string, string | readonly string[]>, string]>([
    ['without signature', {}, ({ 'signature-input': input }) => ({ 'signature-input': input ?? '' }), 'signature-invalid'],
    ['without input', {}, ({ signature }) => ({ signature: signature ?? '' }), 'signature-invalid'],
    ['with another label', {}, (all) => ({ ...all, signature: (all['signature'] ?? '').replace('s=', 't=') }), 'signature-invalid'],
    ['with a byte changed', {}, (all) => ({ ...all, signature: (all['signature'] ?? '').replace(/=:(.)/, (_, c: string) => `=:${c === 'A' ? 'B' : 'A'}`) }), 'signature-invalid'],
    ['by a key that nobody has', {}, (all) => ({ ...all, 'signature-input': (all['signature-input'] ?? '').replace('k1', 'k2') }), 'signature-invalid'],
    ['of another algorithm', {}, () => signed({ parameters: ';alg="ed25519"' }), 'signature-invalid'],
    ['with parameters that change what is signed', {}, () => signed({ components: '"@method";req' }), 'signature-invalid'],
    ['with a component twice', {}, () => signed({ components: '"@method" "@method"' }), 'signature-invalid'],
    ['with upper case', {}, () => signed({ components: '"Date"' }), 'signature-invalid'],
    ['that is not closed', {}, (all) => ({ ...all, 'signature-input': (all['signature-input'] ?? '').replace(')', '') }), 'signature-invalid'],
    ['that is long', {}, (all) => ({ ...all, 'signature-input': `${all['signature-input'] ?? ''};tag="${'x'.repeat(9_000)}"` }), 'signature-invalid'],
    ['that covers too little', {}, () => signed({ components: '"@method"', base: '"@method": GET\n' }), 'signature-incomplete'],
    ['without a nonce where one is needed', { nonce: 'required' }, (all) => all, 'signature-incomplete'],
    ['without the tag that is wanted', { tag: 'shop' }, (all) => all, 'signature-invalid'],
    ['that expired', {}, () => signed({ parameters: ';expires=1000' }), 'signature-expired'],
  ])('one %s fails', async (_what, section, change, code) => {
    expect(outcome(await ask(build({ enabled: true, ...section }), { ...get, headers: change(signed()) }))).toBe(code);
  });

  test('@target-uri covers its parts', async () => {
    const headers = signed({ components: '"@method" "@target-uri"', base: '"@method": GET\n"@target-uri": http://example.com/a?b=1\n' });
    expect(outcome(await ask(build({ enabled: true }), { ...get, headers }))).toBe('partner');
    expect(outcome(await ask(build({ enabled: true }), { ...get, target: '/a?b=2', headers }))).toBe('signature-invalid');
  });

  test('time: neither too old nor from the future, and keys end', async () => {
    const headers = signed();
    const filter = build({ maxAge: '1m', leeway: '10s' });
    const at = async (ms: number): Promise<string> => {
      context.clock.stepWall(ms);
      const result = outcome(await ask(filter, { ...get, headers }));
      context.clock.stepWall(-ms);
      return result;
    };
    expect(await at(0)).toBe('partner');
    expect([await at(58_000), await at(61_000), await at(-9_000), await at(-12_000), await at(3_600_000), await at(-3_600_000)]).toEqual(['partner', 'signature-expired', 'partner', 'signature-expired', 'signature-expired', 'signature-expired']);
    know({ ...shared, expiresMs: context.clock.wallMs() });
    expect(outcome(await ask(filter, { ...get, headers }))).toBe('signature-expired');
  });

  test('a nonce is good once, also for another filter of the same owner, until its signature is too old anyway', async () => {
    const section = { maxAge: '1m', leeway: '0s' };
    const headers = signed({ parameters: ';nonce="n1"' });
    expect(outcome(await ask(build(section), { ...get, headers }))).toBe('partner');
    expect(outcome(await ask(build(section), { ...get, headers }))).toBe('signature-replayed');
    expect(outcome(await ask(build(section), { ...get, headers: signed({ parameters: ';nonce="n2"' }) }))).toBe('partner');
    context.clock.stepWall(61_000);
    expect(outcome(await ask(build(section), { ...get, headers: signed({ parameters: ';nonce="n1"' }) }))).toBe('partner');
  });

  test('a failed signature uses no nonce', async () => {
    const good = signed({ parameters: ';nonce="n1"' });
    const filter = build({ enabled: true });
    expect(outcome(await ask(filter, { ...get, headers: { ...good, signature: 's=:AAAA:' } }))).toBe('signature-invalid');
    expect(outcome(await ask(filter, { ...get, headers: good }))).toBe('partner');
  });

  test('requests without any are told what to show; before anything is known it is not their fault', async () => {
    expect((await ask(build({ enabled: true }), { ...get, headers: {} })).identity).toMatchObject({ failure: null, challenges: ['Signature'] });
    context = new TestFilterContext('hmac');
    expect(outcome(await ask(build({ enabled: true }), { ...get, headers: signed() }))).toBe('signature-warming');
  });
});

describe('keys', () => {
  const pairs: readonly [string, KeyObject, (base: string) => Buffer, KeyObject][] = (() => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    return [
      ['ecdsa-p256-sha256', ec.publicKey, (base) => sign('sha256', Buffer.from(base), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }), ec.privateKey],
      ['rsa-v1_5-sha256', rsa.publicKey, (base) => sign('sha256', Buffer.from(base), rsa.privateKey), rsa.privateKey],
      ['rsa-pss-sha512', rsa.publicKey, (base) => sign('sha512', Buffer.from(base), { key: rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }), rsa.privateKey],
    ];
  })();

  test.each(pairs)('%s', async (algorithm, publicKey, make) => {
    know({ keyId: 'k1', algorithm, key: publicKey.export({ type: 'spki', format: 'der' }) });
    const input = `("@method");created=${Math.floor(context.clock.wallMs() / 1000)};keyid="k1"`;
    const signature = make(`"@method": GET\n"@signature-params": ${input}`).toString('base64');
    const filter = build({ components: ['@method'] });
    expect(outcome(await ask(filter, { ...get, headers: { 'signature-input': `s=${input}`, signature: `s=:${signature}:` } }))).toBe('partner');
    expect(outcome(await ask(filter, { ...get, method: 'PUT', headers: { 'signature-input': `s=${input}`, signature: `s=:${signature}:` } }))).toBe('signature-invalid');
  });

  test('a public key is no shared secret', async () => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const der = publicKey.export({ type: 'spki', format: 'der' });
    know({ keyId: 'k1', algorithm: 'ed25519', key: der });
    const input = `("@method");created=${Math.floor(context.clock.wallMs() / 1000)};keyid="k1"`;
    const signature = createHmac('sha256', der).update(`"@method": GET\n"@signature-params": ${input}`).digest('base64');
    expect(outcome(await ask(build({ components: ['@method'] }), { ...get, headers: { 'signature-input': `s=${input}`, signature: `s=:${signature}:` } }))).toBe('signature-invalid');
  });
});

describe('bodies', () => {
  const digest = (body: string): string => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
  const withDigest = (value: string): Record<string, string> => ({
    'content-digest': value,
    ...signed({ components: '"@method" "@authority" "@path" "@query" "content-digest"', base: `"@method": GET\n"@authority": example.com\n"@path": /a\n"@query": ?b=1\n"content-digest": ${value}\n` }),
  });

  /** What upstream got, and what the client was answered. */
  function send(filter: EdgeFilter, x: Exchange, pieces: readonly string[]): { readonly got: string; readonly ended: boolean; readonly answer: string } {
    const seen = { got: '', ended: false, answer: '' };
    x.answer = (_token, answer: Answer) => void (seen.answer = answer.reason.code);
    const sink = filter.requestBody?.(x, {
      bind() {}, info() {}, head() {}, trailers() {}, reset: (reason) => void (seen.got += `[${reason.code}]`),
      data: (bytes, at, to, end) => {
        seen.got += Buffer.from(bytes.subarray(at, to)).toString();
        seen.ended = end;
        return true;
      },
    });
    sink?.bind({ resume() {}, stop() {} });
    pieces.forEach((piece, i) => sink?.data(Buffer.from(piece), 0, Buffer.byteLength(piece), i === pieces.length - 1));
    return seen;
  }

  beforeEach(() => know(shared));

  test.each([11, -1])('one that is held is compared before anything goes on (length %i)', async (bodyLength) => {
    const filter = build({ enabled: true });
    const asked = { ...get, headers: withDigest(digest('hello world')), bodyLength };
    const x = await ask(filter, { ...asked, body: 'hello world' });
    expect([outcome(x), x.wantsRequestBody]).toEqual(['partner', 0]);
    for (const body of ['hello earth', 'hello world!', '']) expect(outcome(await ask(filter, { ...asked, body }))).toBe('content-digest-mismatch');
  });

  test('one that is another uses up no nonce', async () => {
    const filter = build({ nonce: 'required' });
    const value = digest('hello world');
    const headers = { 'content-digest': value, ...signed({ parameters: ';nonce="n1"', components: '"@method" "@authority" "@path" "@query" "content-digest"', base: `"@method": GET\n"@authority": example.com\n"@path": /a\n"@query": ?b=1\n"content-digest": ${value}\n` }) };
    const codes: string[] = [];
    for (const body of ['hello earth', 'hello world', 'hello world']) codes.push(outcome(await ask(filter, { ...get, headers, bodyLength: 11, body })));
    expect(codes).toEqual(['content-digest-mismatch', 'partner', 'signature-replayed']);
  });

  test.each([65_537, -1])('of a long one the signed goes on, another never ends (length %i)', async (bodyLength) => {
    const filter = build({ enabled: true });
    const long = 'x'.repeat(65_526);
    const ask1 = async (): Promise<Exchange> => ask(filter, { ...get, headers: withDigest(digest(`${long}hello world`)), bodyLength, body: `${long}hello world` });
    const x = await ask1();
    expect([outcome(x), x.wantsRequestBody]).toEqual(['partner', context.bodyBit]);
    expect(send(filter, x, [long, 'hello ', 'world'])).toEqual({ got: `${long}hello world`, ended: true, answer: '' });
    expect(send(filter, await ask1(), [long, 'hello ', 'earth'])).toEqual({ got: `${long}hello [content-digest-mismatch]`, ended: false, answer: 'content-digest-mismatch' });
    expect(send(filter, await ask1(), [`${long}hello world!`])).toEqual({ got: '[content-digest-mismatch]', ended: false, answer: 'content-digest-mismatch' });
  });

  test('a public key holds it too, behind its wait', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    know({ keyId: 'k1', algorithm: 'ed25519', key: publicKey.export({ type: 'spki', format: 'der' }) });
    const value = digest('hello');
    const input = `("@method" "content-digest");created=${Math.floor(context.clock.wallMs() / 1000)};keyid="k1"`;
    const signature = sign(null, Buffer.from(`"@method": GET\n"content-digest": ${value}\n"@signature-params": ${input}`), privateKey).toString('base64');
    const asked = { ...get, headers: { 'content-digest': value, 'signature-input': `s=${input}`, signature: `s=:${signature}:` }, bodyLength: 5 };
    const filter = build({ components: ['@method'] });
    expect([outcome(await ask(filter, { ...asked, body: 'hello' })), outcome(await ask(filter, { ...asked, body: 'other' }))]).toEqual(['partner', 'content-digest-mismatch']);
  });

  test.each<[string, Record<string, string> | null, number, JsonObject, string]>([
    ['a body that is not signed', null, 5, {}, 'signature-incomplete'],
    ['a body that need not be signed', null, 5, { contentDigest: 'optional' }, 'partner'],
    ['no body, and the digest of none', { 'content-digest': '' }, 0, {}, 'partner'],
    ['no body, and the digest of another', { 'content-digest': 'x' }, 0, {}, 'content-digest-mismatch'],
  ])('%s', async (_what, fields, bodyLength, section, code) => {
    const headers = fields === null ? signed() : withDigest(digest(fields['content-digest'] ?? ''));
    expect(outcome(await ask(build({ enabled: true, ...section }), { ...get, headers, bodyLength }))).toBe(code);
  });

  test('a digest that is not understood is no digest', async () => {
    expect(outcome(await ask(build({ enabled: true }), { ...get, headers: withDigest('md5=:AAAA:'), bodyLength: 5 }))).toBe('signature-invalid');
  });
});
