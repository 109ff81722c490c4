import { encode, TestIssuer } from '@remora/testing/test-issuer';
import { describe, expect, test } from 'vitest';
import { readCompactToken } from './compact-token.ts';

const issuer = new TestIssuer();
const good = issuer.token();
const [header = '', payload = '', signature = ''] = good.split('.');

/** A token of exactly so many characters. */
function ofLength(length: number): string {
  for (let pad = 0; ; pad++) {
    const token = issuer.token({ pad: 'x'.repeat(pad) });
    if (token.length === length) return token;
    if (token.length < length - 8) pad += Math.floor((length - token.length) / 2);
    if (token.length > length) return `${header}.${'x'.repeat(length - header.length - signature.length - 2)}.${signature}`;
  }
}

describe('the compact serialization', () => {
  test('is read as it is written', () => {
    expect(readCompactToken(good)).toMatchObject({ keyId: 'ES256-1', type: 'jwt', claims: { iss: issuer.issuer, sub: 'anna' } });
  });

  test('is read up to its bound, and not a character beyond', () => {
    const longest = readCompactToken(ofLength(8_192));
    expect('problem' in longest ? longest.problem : '').not.toContain('longer');
    expect(readCompactToken(ofLength(8_193))).toEqual({ problem: 'longer than 8192 bytes', opaque: false });
  });

  // RFC 7520 sections 4.5 to 4.8 and RFC 7515 section 7.2: forms that a credential in a header never has.
  test.each<[string, string]>([
    ['detached content (RFC 7520 section 4.5)', `${header}..${signature}`],
    ['a protected and an unprotected header (section 4.6)', JSON.stringify({ payload, signatures: [{ protected: header, header: { kid: 'x' }, signature }] })],
    ['the flattened form (section 4.7)', JSON.stringify({ payload, protected: header, signature })],
    ['several signatures (section 4.8)', JSON.stringify({ payload, signatures: [{ protected: header, signature }, { protected: header, signature }] })],
    ['two headers', `${header}.${header}.${payload}.${signature}`],
    ['an empty header', `.${payload}.${signature}`],
    ['a header that is text', `${encode('"ES256"')}.${payload}.${signature}`],
    ['a header that is null', `${encode('null')}.${payload}.${signature}`],
    ['a header deep in lists', `${encode('['.repeat(3_000))}.${payload}.${signature}`],
    ['a payload that is a number', `${header}.${encode('1')}.${signature}`],
    ['spaces around', ` ${good} `],
    ['a NUL behind', `${good}\0`],
  ])('%s is none', (_what, text) => {
    expect(readCompactToken(text)).toHaveProperty('problem');
  });

  test('members called __proto__ are members', () => {
    const token = readCompactToken(`${header}.${encode('{"__proto__":{"admin":true},"constructor":1,"sub":"anna"}')}.${signature}`);
    expect('claims' in token && [Object.getPrototypeOf(token.claims), Object.keys(token.claims), token.claims['admin']]).toEqual([null, ['__proto__', 'constructor', 'sub'], undefined]);
  });
});
