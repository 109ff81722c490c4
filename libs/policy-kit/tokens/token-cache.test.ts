import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TokenCache, type SeenToken } from './token-cache.ts';

function token(text: string): SeenToken {
  return { text, used: false };
}

test('a token that ends like another is another', () => {
  const cache = new TokenCache();
  const end = 'e'.repeat(40);
  cache.put(token(`a.${end}`));
  expect(cache.get(`b.${end}`)).toBeUndefined();
  expect(cache.get(`a.${end}`)?.text).toBe(`a.${end}`);
  cache.put(token(`b.${end}`));
  expect([cache.get(`a.${end}`), cache.get(`b.${end}`)?.text, cache.size]).toEqual([undefined, `b.${end}`, 1]);
});

test('what was seen again stays, what was not goes first', () => {
  const cache = new TokenCache<SeenToken>({ entriesMax: 3, bytesMax: 1e9 });
  for (const name of ['a', 'b', 'c']) cache.put(token(name));
  cache.get('a');
  expect(cache.put(token('d'))).toBe(1);
  expect(['a', 'b', 'c', 'd'].map((name) => cache.get(name)?.text)).toEqual(['a', undefined, 'c', 'd']);
});

test('bounds hold whatever comes, and what is counted is what is there', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('put', 'get', 'delete'), fc.nat(30), fc.nat(2_000))), (steps) => {
    const cache = new TokenCache<SeenToken>({ entriesMax: 10, bytesMax: 20_000 });
    for (const [step, name, length] of steps) {
      const text = `${'x'.repeat(length)}${name}`;
      if (step === 'put') cache.put(token(text));
      else if (step === 'get') cache.get(text);
      else {
        const found = cache.get(text);
        if (found !== undefined) cache.delete(found);
      }
      expect(cache.size).toBeLessThanOrEqual(10);
      expect(cache.bytes).toBeLessThanOrEqual(20_000);
      expect(cache.bytes === 0).toBe(cache.size === 0);
    }
  }));
});
