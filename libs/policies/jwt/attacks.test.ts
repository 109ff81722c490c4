import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { driveLater } from '@remora/testing/drive-later';
import { makeExchange } from '@remora/testing/exchange-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import { encode, hmacToken, TestIssuer } from '@remora/testing/test-issuer';
import * as jose from 'jose';
import { describe, expect, test } from 'vitest';
import { buildJwt, consumerFacts, type BuiltJwt } from './testdata/build-jwt.ts';

/** What RFC 8725 warns of, and what has been found in libraries: each must end in a refusal, with its reason. */
const issuer = new TestIssuer();
const evil = new TestIssuer('https://evil.example');
const [es256, rs256, ps256] = [issuer.key('ES256'), issuer.key('RS256'), issuer.key('PS256')];
const other = new TestIssuer('https://other.example');
const section = {
  issuers: {
    shop: { issuer: issuer.issuer, audiences: ['orders'], jwks: issuer.jwks(es256, rs256, ps256) },
    other: { issuer: other.issuer, audiences: ['orders'], jwks: other.jwks(other.key('ES256')) },
  },
  consumerTokens: { accepted: true, audiences: ['orders'] },
};
const nowMs = new ManualClock().wallMs();
const now = Math.floor(nowMs / 1000);
const claims = { iss: issuer.issuer, sub: 'anna', aud: 'orders', iat: now, exp: now + 300 };
const payload = encode(JSON.stringify(claims));
const good = issuer.token({}, { nowMs });
const [, goodPayload = '', goodSignature = ''] = good.split('.');
const pem = Buffer.from(rs256.publicKey.export({ format: 'pem', type: 'spki' }));
const der = rs256.publicKey.export({ format: 'der', type: 'spki' });
const header = (members: object): string => encode(JSON.stringify(members));
const hmacOver = (secret: Uint8Array, members: object): string => `${header(members)}.${payload}.${createHmac('sha256', secret).update(`${header(members)}.${payload}`).digest('base64url')}`;

const ways = ['at once', 'elsewhere'] as const;

async function outcome(built: BuiltJwt, token: string): Promise<string> {
  const x = makeExchange({ request: { method: 'GET', authority: 'orders', target: '/', headers: [['authorization', `Bearer ${token}`]] } }, built.context);
  await driveLater(built.filter, x);
  const { identity } = x;
  if (identity?.failure) return identity.failure.reason.code;
  return identity?.proved ? `accepted ${identity.subject}` : 'nothing';
}

function ready(verify: 'at once' | 'elsewhere'): BuiltJwt {
  const built = buildJwt(section, { verify });
  built.facts.apply(consumerFacts({ name: 'partner', tokenKeys: [{ keyId: 'k', algorithm: 'HS256', key: Buffer.alloc(32, 9), issuer: 'partner' }] }));
  return built;
}

describe.each(ways)('attacks, signatures verified %s', (verify) => {
  const attacks: readonly [string, string, RegExp][] = [
    ['no signature: alg none', `${header({ alg: 'none' })}.${payload}.`, /jwt-invalid/],
    ['no signature: alg None', `${header({ alg: 'None' })}.${payload}.${goodSignature}`, /jwt-invalid/],
    ['no signature: the last part cut off', `${good.slice(0, good.lastIndexOf('.'))}.`, /jwt-invalid/],
    ['no signature: two parts', good.slice(0, good.lastIndexOf('.')), /jwt-invalid/],
    ['no alg', `${header({ typ: 'JWT' })}.${payload}.${goodSignature}`, /jwt-invalid/],
    ['alg as a list', `${header({ alg: ['ES256'] })}.${payload}.${goodSignature}`, /jwt-invalid/],
    ['alg confusion: HS256 with the PEM of an RSA key', hmacOver(pem, { alg: 'HS256', kid: rs256.keyId }), /jwt-invalid/],
    ['alg confusion: HS256 with the DER of an RSA key', hmacOver(der, { alg: 'HS256', kid: rs256.keyId }), /jwt-invalid/],
    ['alg confusion: HS256 with the JWK of an RSA key', hmacOver(Buffer.from(JSON.stringify(rs256.jwk())), { alg: 'HS256' }), /jwt-invalid/],
    ['alg confusion: HS256 with an empty secret', hmacOver(Buffer.alloc(0), { alg: 'HS256' }), /jwt-invalid/],
    ['alg confusion: RS256 signed, PS256 said', rs256.sign(claims, { alg: 'PS256', kid: ps256.keyId }), /jwt-signature/],
    ['alg confusion: RS512 said for a key of RS256', rs256.sign(claims, { alg: 'RS512' }), /jwt-key/],
    ['key of another type: ES256 with the name of an RSA key', es256.sign(claims, { kid: rs256.keyId }), /jwt-key/],
    ['key of another type: RS256 with the name of an EC key', rs256.sign(claims, { kid: es256.keyId }), /jwt-key/],
    ['an embedded key', evil.key().sign(claims, { jwk: evil.key().jwk() }), /jwt-invalid/],
    ['the address of a key set', evil.key().sign(claims, { jku: 'https://evil.example/keys' }), /jwt-invalid/],
    ['the address of a certificate', evil.key().sign(claims, { x5u: 'https://evil.example/cert' }), /jwt-invalid/],
    ['an embedded certificate', evil.key().sign(claims, { x5c: ['AAAA'] }), /jwt-invalid/],
    ['a kid that is a path', evil.key().sign(claims, { kid: '../../../../dev/null' }), /jwt-key/],
    ['a kid that is SQL', evil.key().sign(claims, { kid: "x' UNION SELECT 'key" }), /jwt-key/],
    ['a kid that is __proto__', evil.key().sign(claims, { kid: '__proto__' }), /jwt-key/],
    ['a kid that is a number', evil.key().sign(claims, { kid: 1 }), /jwt-invalid/],
    ['a kid of 300 characters', evil.key().sign(claims, { kid: 'k'.repeat(300) }), /jwt-invalid/],
    ['a psychic signature: zeros', `${header({ alg: 'ES256', kid: es256.keyId })}.${payload}.${Buffer.alloc(64).toString('base64url')}`, /jwt-signature/],
    ['a psychic signature: as DER', `${header({ alg: 'ES256', kid: es256.keyId })}.${payload}.${Buffer.from('3006020100020100', 'hex').toString('base64url')}`, /jwt-signature/],
    ['a psychic signature: the order of the curve', `${header({ alg: 'ES256', kid: es256.keyId })}.${payload}.${Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'.repeat(2), 'hex').toString('base64url')}`, /jwt-signature/],
    ['another issuer\'s key for this issuer', other.key().sign(claims), /jwt-signature/],
    ['another issuer\'s key under its own name', other.key().sign(claims, { kid: 'ES256-1' }), /jwt-signature/],
    ['this issuer\'s key for another issuer', es256.sign({ ...claims, iss: other.issuer }), /jwt-signature/],
    ['an issuer that nobody knows', evil.token({}, { nowMs }), /jwt-issuer/],
    ['an issuer in other letters', es256.sign({ ...claims, iss: issuer.issuer.toUpperCase() }), /jwt-issuer/],
    ['an issuer with a slash more', es256.sign({ ...claims, iss: `${issuer.issuer}/` }), /jwt-issuer/],
    ['an issuer that is a list', es256.sign({ ...claims, iss: [issuer.issuer] }), /jwt-issuer/],
    ['no issuer', es256.sign({ ...claims, iss: undefined }), /jwt-issuer/],
    ['a consumer\'s secret for the issuer', hmacToken(Buffer.alloc(32, 9), claims, { kid: 'k' }), /jwt-invalid/],
    ['somebody else\'s secret for a consumer', hmacToken(Buffer.alloc(32, 8), { ...claims, iss: 'partner' }, { kid: 'k' }), /jwt-signature/],
    ['the issuer\'s key for a consumer', es256.sign({ ...claims, iss: 'partner' }, { kid: 'k' }), /jwt-key/],
    ['meant for another service', es256.sign({ ...claims, aud: 'payments' }), /jwt-audience/],
    ['meant for nobody', es256.sign({ ...claims, aud: undefined }), /jwt-audience/],
    ['meant for an empty list', es256.sign({ ...claims, aud: [] }), /jwt-audience/],
    ['an audience that is an object', es256.sign({ ...claims, aud: { orders: true } }), /jwt-invalid/],
    ['an audience with orders inside', es256.sign({ ...claims, aud: 'orders-other' }), /jwt-audience/],
    ['an ID token by its typ', es256.sign(claims, { typ: 'id+jwt' }), /jwt-invalid/],
    ['a logout token by its typ', es256.sign(claims, { typ: 'logout+jwt' }), /jwt-invalid/],
    ['without an end', es256.sign({ ...claims, exp: undefined }), /jwt-invalid/],
    ['an end that is text', es256.sign({ ...claims, exp: '9999999999' }), /jwt-invalid/],
    ['an end beyond all time', es256.sign({ ...claims, exp: 1e300 }), /jwt-invalid/],
    ['a negative end', es256.sign({ ...claims, exp: -1 }), /jwt-invalid/],
    ['over', es256.sign({ ...claims, exp: now - 31 }), /jwt-expired/],
    ['not yet', es256.sign({ ...claims, nbf: now + 60 }), /jwt-early/],
    ['made in the future', es256.sign({ ...claims, iat: now + 60 }), /jwt-early/],
    ['extensions that must be understood', es256.sign(claims, { crit: ['exp'], exp: 1 }), /jwt-invalid/],
    ['an empty crit', es256.sign(claims, { crit: [] }), /jwt-invalid/],
    ['a payload that is not encoded', es256.sign(claims, { b64: false }), /jwt-invalid/],
    ['compressed', es256.sign(claims, { zip: 'DEF' }), /jwt-invalid/],
    ['encrypted', `${header({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a.b.c.d`, /jwt-invalid/],
    ['alg twice in the header', es256.signParts('{"alg":"none","alg":"ES256","kid":"ES256-1"}', JSON.stringify(claims)), /jwt-invalid/],
    ['sub twice in the claims', es256.signParts('{"alg":"ES256","kid":"ES256-1"}', `{"sub":"admin",${JSON.stringify(claims).slice(1)}`), /jwt-invalid/],
    ['claims that are a list', es256.signParts('{"alg":"ES256","kid":"ES256-1"}', '[]'), /jwt-invalid/],
    ['claims that are no UTF-8', `${header({ alg: 'ES256' })}.${Buffer.from('{"a":"\xff"}', 'latin1').toString('base64url')}.${goodSignature}`, /jwt-invalid/],
    ['padding', `${good}=`, /jwt-invalid/],
    ['the plain alphabet', `${header({ alg: 'ES256', kid: es256.keyId })}.${goodPayload}.${'+/'.repeat(43)}`, /jwt-invalid/],
    ['a line break within', `${good.slice(0, 20)}%0A${good.slice(20)}`, /jwt-invalid/],
    ['four parts', `${good}.a`, /jwt-invalid/],
    ['9 KiB', issuer.token({ pad: 'a'.repeat(9_000) }, { nowMs }), /jwt-invalid/],
    ['nothing', '', /jwt-invalid/],
    ['dots', '..', /jwt-invalid/],
  ];

  test.each(attacks)('%s', async (_what, token, code) => {
    const built = ready(verify);
    expect(await outcome(built, token)).toMatch(code);
    // A clean request goes on, and nothing was asked outside.
    expect(await outcome(built, good)).toBe('accepted anna');
    expect(await outcome(built, token)).toMatch(code);
    expect(built.context.asked).toEqual([]);
  });

  test('a token that ends like a valid one is another token', async () => {
    const built = ready(verify);
    expect(await outcome(built, good)).toBe('accepted anna');
    const forged = `${header({ alg: 'ES256', kid: es256.keyId })}.${encode(JSON.stringify({ ...claims, sub: 'root' }))}.${goodSignature}`;
    expect(await outcome(built, forged)).toBe('jwt-signature');
    expect(await outcome(built, good)).toBe('accepted anna');
  });
});

describe.each(ways)('no change of a valid token is accepted, verified %s', (verify) => {
  const tokens = [es256, rs256].map((key) => issuer.token({}, { nowMs, key }));

  test('of any character', async () => {
    const built = ready(verify);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ,'.split('');
    for (const token of tokens) expect(await outcome(built, token)).toBe('accepted anna');
    await fc.assert(fc.asyncProperty(fc.constantFrom(...tokens), fc.nat(1_000), fc.constantFrom(...alphabet), fc.constantFrom('replace', 'insert', 'delete', 'cut'), async (token, position, char, how) => {
      const at = position % token.length;
      const changed = how === 'cut' ? token.slice(0, at) : token.slice(0, at) + (how === 'delete' ? '' : char) + token.slice(how === 'insert' ? at : at + 1);
      // Spaces around a field are not part of it.
      if (tokens.includes(changed.trim())) return;
      expect(await outcome(built, changed)).not.toMatch(/accepted|nothing/);
    }), { numRuns: 400 });
  });

  test('of any claim, even with a signature of somebody else', async () => {
    const built = ready(verify);
    await fc.assert(fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (extra) => {
      expect(await outcome(built, evil.key('ES256', 'ES256-1').sign({ ...extra, ...claims }))).toBe('jwt-signature');
    }), { numRuns: 60 });
  });

  test('the same is accepted here and by jose, for tokens as issuers make them', async () => {
    const built = ready(verify);
    const keys = jose.createLocalJWKSet(issuer.jwks(es256, rs256, ps256) as unknown as jose.JSONWebKeySet);
    await fc.assert(fc.asyncProperty(fc.constantFrom(es256, rs256, ps256, evil.key('ES256')), fc.integer({ min: -120, max: 120 }), fc.constantFrom('orders', 'payments', ['orders', 'x']), async (key, shift, aud) => {
      const token = issuer.token({ aud, iat: now - 200, exp: now + shift }, { key });
      const theirs = await jose.jwtVerify(token, keys, { audience: 'orders', issuer: issuer.issuer, clockTolerance: 30, currentDate: new Date(nowMs) }).then(() => true, () => false);
      expect((await outcome(built, token)).startsWith('accepted')).toBe(theirs);
    }), { numRuns: 60 });
  });
});

describe('clocks', () => {
  test.each([[-3_600_000, 'jwt-early'], [3_600_000, 'jwt-expired'], [-29_000, 'accepted anna'], [329_000, 'accepted anna'], [331_000, 'jwt-expired']])('a step by %d ms: %s, remembered or not', async (stepMs, expected) => {
    for (const before of [true, false]) {
      const clock = new ManualClock(nowMs);
      const built = buildJwt(section, { clock });
      if (before) expect(await outcome(built, good)).toBe('accepted anna');
      const moved = buildJwt(section, { clock: new ManualClock(nowMs + stepMs), factBooks: built.facts });
      expect(await outcome(moved, good)).toBe(expected);
    }
  });
});
