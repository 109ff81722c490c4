import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRegex, compileRegex, regexLengthMax, regexTextMax, undecided, type Regex } from './regex.ts';

function regex(pattern: string): Regex {
  const compiled = compileRegex(pattern);
  if (typeof compiled === 'string') throw new Error(compiled);
  return compiled;
}

describe('checkRegex', () => {
  test.each(['(', '[', 'a**', '(?=a)', '(?<!a)b', '\\1', '(?P<n>a)(?P<n>b)', 'a'.repeat(regexLengthMax + 1), '(?:a{20}){20}', '\\p{Nothing}'])('refuses %s', (pattern) => {
    expect(checkRegex(pattern)).toEqual(expect.any(String));
  });

  test('says how to repair what is too large', () => {
    expect(checkRegex('[a-z]{900}')).toMatch(/compiles to 9\d\d instructions, at most 250 are accepted/);
  });

  test('is total', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'ab()[]{}*+?|\\^$.-,1dPw<>:i'.split('')), maxLength: 20 }), (pattern) => {
      expect([null, 'string']).toContain(checkRegex(pattern) === null ? null : 'string');
    }), { numRuns: 500 });
  });
});

describe('compileRegex', () => {
  test('matches the whole text', () => {
    expect(['a', 'ab', 'xab', 'abx'].map((text) => regex('a.?').test(text))).toEqual([true, true, false, false]);
  });

  test('agrees with the language\'s own engine on what both know', () => {
    const pattern = fc.constantFrom('a*b', '(?:ab|a)+', '[^a]b?', 'a{1,3}b{2}', '(a|b)*a(a|b)', '.*', '\\d+a', '(?:)');
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '1'), maxLength: 8 });
    fc.assert(fc.property(pattern, text, (source, value) => {
      expect(regex(source).test(value)).toBe(new RegExp(`^(?:${source})$`).test(value));
    }), { numRuns: 500 });
  });

  test('does not decide on texts that are too long', () => {
    expect(regex('a*').test('a'.repeat(regexTextMax))).toBe(true);
    expect(regex('a*').test('a'.repeat(regexTextMax + 1))).toBe(undecided);
    expect(regex('a*').capture('a'.repeat(regexTextMax + 1))).toBeNull();
  });

  test('captures named groups only, in their order', () => {
    const compiled = regex('/(?P<b>[a-z]+)/(x)?(?P<a>\\d+)?');
    expect(compiled.groupNames).toEqual(['b', 'a']);
    expect(compiled.capture('/abc/x7')).toEqual(['abc', '7']);
    expect(compiled.capture('/abc/')).toEqual(['abc', '']);
    expect(compiled.capture('/7')).toBeNull();
  });

  test('takes time in proportion to the text where a backtracking engine would not end', () => {
    const compiled = regex('(a|aa)+$|(a+)+c');
    expect(compiled.test(`${'a'.repeat(4000)}b`)).toBe(false);
  });
});
