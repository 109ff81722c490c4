import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeQueryText, queryValueAt } from './query-values.ts';

const table: readonly (readonly [query: string, name: string, values: readonly string[]])[] = [
  ['', 'v', []],
  ['v=1', 'v', ['1']],
  ['vv=1&v=2', 'v', ['2']],
  ['v', 'v', ['']],
  ['v&v=&v=x', 'v', ['', '', 'x']],
  ['a=v=3&&v=1=2', 'v', ['1=2']],
  ['%76=1&v=2', 'v', ['1', '2']],
  ['a%20b=1+2', 'a b', ['1 2']],
  ['a+b=1', 'a b', ['1']],
  ['v=%0d%0aset-cookie', 'v', ['%0D%0Aset-cookie']],
  ['v=%zz%4', 'v', ['%zz%4']],
  ['__proto__=1', '__proto__', ['1']],
  ['v=1', '', []],
];

describe('queryValueAt', () => {
  test.each(table)('%s has for %s', (query, name, values) => {
    const found: string[] = [];
    for (let nth = 0; ; nth++) {
      const value = queryValueAt(query, name, nth);
      if (value === null) break;
      found.push(value);
    }
    expect(found).toEqual(values);
  });

  test('agrees with URLSearchParams on visible ASCII', () => {
    const char = fc.constantFrom(...'abv&=%2+6 7'.split(''));
    fc.assert(fc.property(fc.string({ unit: char, maxLength: 24 }), (query) => {
      const wanted = new URLSearchParams(query).getAll('v').map((value) => value);
      const readable = wanted.every((value) => /^[ -~]*$/.test(value));
      fc.pre(readable);
      for (const [nth, value] of wanted.entries()) expect(queryValueAt(query, 'v', nth)).toBe(value);
      expect(queryValueAt(query, 'v', wanted.length)).toBeNull();
    }), { numRuns: 500 });
  });

  test('decoded text never has a control character', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'%0da1fF7+x'.split('')) }), (raw) => {
      expect(decodeQueryText(raw)).toMatch(/^[ -~]*$/);
    }));
  });
});
