import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseStrictJson, parseStrictJsonBytes } from './strict-json.ts';

describe('JSON from strangers', () => {
  test.each([
    '{"a":1,"a":1}', '{"a":{"b":1,"b":2}}', '{"a":1,"\\u0061":2}', '{"__proto__":1,"__proto__":2}', '{"a":1,}', '[1,]', '[1 2]', '{"a"}', '{a:1}', "{'a':1}", '01', '+1', '.5', '1.', '1e', '-',
    'NaN', 'Infinity', '1e999', 'nul', 'tru', 'TRUE', '"a', '"\t"', '"\\x41"', '"\\ud800"', '"\ud800"', '', ' ', '{} {}', '1 1', '\ufeff{}', '/**/1', '\u00a01', `${'['.repeat(33)}${']'.repeat(33)}`,
  ])('%j is none', (text) => {
    expect(parseStrictJson(text)).toBeUndefined();
  });

  test('names are ordinary, whatever they are', () => {
    const value = parseStrictJson('{"__proto__":{"admin":true},"constructor":1,"toString":2,"hasOwnProperty":3}') as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor', 'toString', 'hasOwnProperty']);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });

  test('bytes that are no UTF-8 are none', () => {
    for (const bytes of [[0x22, 0xff, 0x22], [0x22, 0xc0, 0xaf, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0xef, 0xbb, 0xbf, 0x31]]) expect(parseStrictJsonBytes(Uint8Array.from(bytes))).toBeUndefined();
    expect(parseStrictJsonBytes(Buffer.from('"ü"'))).toBe('ü');
  });

  test('what JSON.parse accepts is accepted, and means the same', () => {
    fc.assert(fc.property(fc.json({ depthSize: 'medium' }), (text) => {
      const expected = JSON.parse(text) as unknown;
      const read = parseStrictJson(text);
      if (read === undefined) return !text.isWellFormed() || /\\u[dD][89a-fA-F]/.test(text) || text.includes('e+') || duplicated(text);
      expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(JSON.stringify(expected)));
      return true;
    }));
  });

  test('what JSON.parse refuses is refused', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json().chain((text) => fc.tuple(fc.nat(text.length), fc.string({ maxLength: 2 })).map(([at, put]) => text.slice(0, at) + put + text.slice(at + 1)))), (text) => {
      try {
        JSON.parse(text);
      } catch {
        expect(parseStrictJson(text)).toBeUndefined();
      }
    }));
  });
});

/** JSON.parse keeps one of two members with the same name. */
function duplicated(text: string): boolean {
  let members = 0;
  JSON.parse(text, (key, value: unknown) => {
    if (key !== '') members++;
    return value;
  });
  return (text.match(/":/g) ?? []).length > members;
}
