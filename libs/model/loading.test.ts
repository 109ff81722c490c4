import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { documentLimits } from './document-limits.ts';
import { readJson } from './json-reader.ts';
import { loadDocuments } from './load-documents.ts';

const generous = { depth: 1_000, nodes: 1_000_000 };

function codes(bytes: string | Uint8Array, name = 'x.yaml'): string[] {
  return loadDocuments([{ name, bytes }]).violations.map(({ code }) => code);
}

describe('readJson', () => {
  test('agrees with JSON.parse on every JSON text', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 6 }), fc.boolean(), (text, spaced) => {
      const source = spaced ? JSON.stringify(JSON.parse(text), null, '\t ') : text;
      const result = readJson(source, generous);
      expect(result.ok).toBe(true);
      if (result.ok) expect(JSON.stringify(result.value)).toBe(JSON.stringify(JSON.parse(source)));
    }), { numRuns: 300 });
  });

  test('refuses whatever JSON.parse refuses, and numbers that it takes for infinite', () => {
    const finite = (_name: string, value: unknown): unknown => {
      if (value === Infinity || value === -Infinity) throw new RangeError('beyond all numbers');
      return value;
    };
    const pieces = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"', '1', '-', '01', '1.', '1e', 'true', 'nul', ' ', '\\u12', '\n', "'a'", '\u0001');
    fc.assert(fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const text = parts.join('');
      let accepted = true;
      try {
        JSON.parse(text, finite);
      } catch {
        accepted = false;
      }
      const result = readJson(text, generous);
      expect(result.ok || !accepted || result.code === 'duplicate-key').toBe(true);
      expect(result.ok && !accepted).toBe(false);
    }), { numRuns: 2_000 });
  });

  test.each([
    { what: 'a name given twice', text: '{"a":1,"a":2}', code: 'duplicate-key' },
    { what: 'deep nesting', text: '['.repeat(2_000), code: 'too-deep' },
    { what: 'a million values', text: `[${'1,'.repeat(1_000_000)}1]`, code: 'too-large' },
    { what: 'a number beyond all numbers', text: '1e999', code: 'invalid-json' },
    { what: 'a control character', text: '"\u0000"', code: 'invalid-json' },
    { what: 'nothing', text: '', code: 'invalid-json' },
  ])('$what is $code', ({ text, code }) => {
    expect(readJson(text, generous)).toMatchObject({ ok: false, code });
  });

  test('__proto__ is a name like any other', () => {
    const result = readJson('{"__proto__": {"x": 1}, "constructor": 2}', generous);
    expect(result.ok && Object.keys(result.value as object)).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });
});

describe('hostile input', () => {
  const lol = ['a: &a [x,x,x,x,x,x,x,x,x,x]', ...'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdefghi'[i]},`.repeat(9)}*${'abcdefghi'[i]}]`)].join('\n');

  test.each([
    ['anchors that explode', lol, ['too-many']],
    ['one anchor, used too often', `a: &a b\nb: [${'*a,'.repeat(2_000)}*a]`, ['too-many']],
    ['deep flow collections', `a: ${'['.repeat(100_000)}`, ['too-deep']],
    ['deep block collections', Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'), ['too-deep']],
    ['deep JSON', `{"a": ${'['.repeat(1_000)}${']'.repeat(1_000)}}`, ['too-deep']],
    ['bytes that are not UTF-8', Uint8Array.of(0x6b, 0xff, 0xfe), ['invalid-utf8']],
    ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x6b, 0x00), ['invalid-utf8']],
    ['an alias cycle', 'a: &a {b: *a}', ['invalid-yaml']],
    ['a merge key, which YAML 1.2 does not have', 'base: &b {x: 1}\nkind: Service\n<<: *b', []],
  ])('%s: refused at once, without effort', (_what, bytes, expected) => {
    const began = process.cpuUsage();
    expect(codes(bytes)).toEqual(expected);
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(3_000);
  });

  test('more than the input may have', () => {
    expect(codes('x'.repeat(documentLimits.inputBytes + 1))).toEqual(['too-large']);
    expect(codes(Buffer.alloc(documentLimits.inputBytes + 1, 0x20))).toEqual(['too-large']);
  });

  test('one document that is too large', () => {
    expect(codes(`kind: Service\nname: a\nx: ${'y'.repeat(5 * documentLimits.documentBytes)}`)).toEqual(['too-large']);
  });

  test('words that YAML 1.1 takes for booleans are texts, 1.2 numbers are numbers', () => {
    const { documents } = loadDocuments([{ name: 'x', bytes: 'a: [on, off, yes, no, y, n, 0o17, 012, 1_000, 2001-01-01, ~, NULL]' }]);
    expect(JSON.stringify(documents[0]?.value)).toBe('{"a":["on","off","yes","no","y","n",15,12,"1_000","2001-01-01",null,null]}');
  });

  test('never throws, whatever the text', () => {
    const piece = fc.constantFrom('kind: Service\n', '---\n', '...\n', '{', '}', '[', ']', '- ', ': ', '&a ', '*a', '!!str ', '|\n  x\n', '"', "'", '#', '\t', '  ', '%YAML 1.2\n', '? ', '\u0000', '\ufeff', 'é', '\ud800');
    fc.assert(fc.property(fc.array(piece, { maxLength: 20 }), (parts) => {
      const { documents, violations } = loadDocuments([{ name: 'x', bytes: parts.join('') }]);
      for (const document of documents) expect(document.sourceOf('/a/0')).toMatch(/^x:\d+$/);
      for (const violation of violations) expect(violation.source).toMatch(/^x(?::\d+)?$/);
    }), { numRuns: 1_000 });
  });
});

describe('places', () => {
  const text = '# head\nkind: Service\nname: a\n---\n\nkind: Route\nname: r\nmatch:\n  path:\n    exact: /a\nto:\n  - service: x\n  - service: y\n';
  const { documents } = loadDocuments([{ name: 'mesh/a.yaml', bytes: text }]);

  test.each([[0, '', 2], [0, '/name', 3], [1, '', 6], [1, '/match/path/exact', 10], [1, '/match/path/prefix', 9], [1, '/to/1/service', 13], [1, '/nothing/here', 6]])('document %i, pointer %j is line %i', (document, pointer, line) => {
    expect(documents[document]?.sourceOf(pointer)).toBe(`mesh/a.yaml:${line}`);
  });

  test('a JSON list of documents', () => {
    const list = loadDocuments([{ name: 'x.json', bytes: '[\n {"kind": "A"},\n {"kind": "B",\n  "name": "b"}\n]' }]);
    expect(list.documents.map((document) => document.sourceOf('/name'))).toEqual(['x.json:2', 'x.json:4']);
  });

  // Each document of a list had its line looked up in the whole text: a list of 12,000 held the control plane for the better part of an hour.
  test('the places of lists with thousands of documents are found without reading the list for each', () => {
    const documents = Array.from({ length: 20_000 }, (_, n) => ({ kind: 'Service', name: `s"${n}]}`, labels: { 'a,[{': 'b' }, ports: [[1, {}], n] }));
    const json = loadDocuments([{ name: 'x.json', bytes: JSON.stringify(documents, null, 1) }]);
    expect(json.documents.map(({ value }) => value)).toEqual(documents);
    const lines = JSON.stringify(documents[0], null, 1).split('\n').length;
    expect([0, 1, 19_999].map((n) => json.documents[n]?.source)).toEqual([0, 1, 19_999].map((n) => `x.json:${2 + n * lines}`));
    expect(json.documents[19_999]?.sourceOf('/name')).toBe(`x.json:${2 + 19_999 * lines + 2}`);
    const yaml = loadDocuments([{ name: 'x.yaml', bytes: Array.from({ length: 3_000 }, (_, n) => `- kind: Service\n  name: s${n}\n`).join('') }]);
    expect(yaml.documents.map(({ source }) => source)).toEqual(Array.from({ length: 3_000 }, (_, n) => `x.yaml:${1 + 2 * n}`));
  });

  test('items of a JSON list are told apart whatever they are', () => {
    fc.assert(fc.property(fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 6 }), fc.boolean(), (values, spaced) => {
      const text = JSON.stringify([...values, { kind: 'Last' }], null, spaced ? 2 : undefined);
      const { documents, violations } = loadDocuments([{ name: 'x.json', bytes: text }]);
      expect(documents.at(-1)?.value).toEqual({ kind: 'Last' });
      expect(documents.length + violations.length).toBe(values.length + 1);
      if (spaced) expect(documents.at(-1)?.source).toBe(`x.json:${text.split('\n').length - 3}`);
    }), { numRuns: 200 });
  });
});
