import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalPath, type PathSpellingRules } from './canonical-path.ts';

const strict: PathSpellingRules = { allowEncodedSlash: false, allowBackslash: false, mergeSlashes: false, resolveDotSegments: false, allowSemicolon: false, allowEncodedControl: false };
const lenient: PathSpellingRules = { allowEncodedSlash: true, allowBackslash: true, mergeSlashes: true, resolveDotSegments: true, allowSemicolon: true, allowEncodedControl: true };

describe('canonicalPath', () => {
  it.each([
    ['/', '/'], ['/a/b', '/a/b'], ['/a/', '/a/'], ['*', '*'],
    ['/%61dmin', '/admin'], ['/a%2Dz', '/a-z'], ['/a%7eb', '/a~b'], ['/%c3%a9', '/%C3%A9'], ['/a%20b', '/a%20b'],
    ['/a%21%27%28%29%2A%2C%3D%3A%40%26%24', "/a!'()*,=:@&$"],
    ['/a+b', '/a+b'], ['/a%2bb', '/a%2Bb'],
    ['/a|b', '/a%7Cb'], ['/a{b}', '/a%7Bb%7D'], ['/"', '/%22'], ['/a..b/...', '/a..b/...'], ['/.well-known/x', '/.well-known/x'], ['/100%25', '/100%25'],
  ])('spells %s as %s', (raw, canonical) => {
    expect(canonicalPath(raw, strict)).toBe(canonical);
  });

  it.each([
    ['an encoded slash', '/a%2fb'], ['an encoded backslash', '/a%5Cb'], ['a backslash', '/a\\b'], ['an encoded NUL', '/a%00'], ['two slashes', '/a//b'],
    ['two slashes first', '//a'], ['a dot segment', '/a/./b'], ['a dot segment last', '/a/.'], ['two dots', '/a/../b'], ['two dots last', '/a/..'],
    ['encoded dots', '/a/%2e%2E/b'], ['half encoded dots', '/a/.%2e/b'], ['a semicolon', '/a;b=c'], ['an encoded semicolon', '/a%3Bb'], ['a fragment', '/a#b'],
    ['a double encoding', '/%252e%252e/'], ['a double encoded slash', '/a%252Fb'], ['an overlong slash', '/a%c0%afb'], ['an overlong dot', '/%e0%80%ae'],
    ['an overlong in four', '/%f0%80%80%af'], ['a lead byte beyond Unicode', '/%f5%80%80%80'], ['an incomplete escape', '/a%2'], ['an escape of no hex', '/a%zz'], ['an encoded line feed', '/a%0Ab'], ['an encoded control', '/%1f'], ['an encoded DEL', '/a%7F'],
    ['no leading slash', 'a/b'], ['nothing', ''], ['an encoded percent before hex', '/%2500'],
  ])('refuses %s', (_, raw) => {
    expect(canonicalPath(raw, strict)).toBe('');
  });

  it.each([
    ['/a%2fb', '/a%2Fb'], ['/a%5cb', '/a%5Cb'], ['/a\\b', '/a%5Cb'], ['/a//b///c', '/a/b/c'], ['/a/./b/../c', '/a/c'], ['/a/b/..', '/a/'], ['/a/.', '/a/'],
    ['/%2e%2e', ''], ['/../a', ''], ['/a;b', '/a;b'], ['/a%3bb', '/a%3Bb'], ['/a%00', ''], ['/a#b', ''], ['//', '/'], ['/a%0ab%7f', '/a%0Ab%7F'],
  ])('with every rule relaxed spells %s as %s', (raw, canonical) => {
    expect(canonicalPath(raw, lenient)).toBe(canonical);
  });

  it('is a fixed point: a canonical path is its own spelling', () => {
    const piece = fc.constantFrom('a', '.', '..', '/', '%2e', '%2F', '%41', '%25', '%c3%a9', ';', '\\', '%5c', '+', '|', '//', '%00', '%0a', '%e0', 'ä', '-', '.x');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom(strict, lenient), (pieces, rules) => {
        const once = canonicalPath(`/${pieces.join('')}`, rules);
        expect(once === '' ? '' : canonicalPath(once, rules)).toBe(once);
      }),
      { numRuns: 3000 },
    );
  });

  it('lets no spelling of a denied path through: what an upstream may decode it to is what was matched', () => {
    const spellings = fc.array(fc.constantFrom('a', 'd', 'm', 'i', 'n', '%61', '%64', '%6D', '%6d', '%69', '%6e', '%2561', '.', '/', '%2e', '%2f', '\\', ';x'), { maxLength: 10 });
    fc.assert(
      fc.property(spellings, (pieces) => {
        const canonical = canonicalPath(`/${pieces.join('')}`, strict);
        if (canonical === '') return;
        const upstream = decodeURIComponent(canonical).split('/').filter((segment) => segment !== '' && segment !== '.');
        expect(upstream).not.toContain('..');
        expect(`/${upstream.join('/')}`.replace(/\/$/, '')).toBe(canonical.replace(/\/$/, ''));
      }),
      { numRuns: 3000 },
    );
  });
});
