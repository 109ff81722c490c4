import { describe, expect, it, test } from 'vitest';
import type { MessageHead } from '../message-head.ts';
import { decodeHuffman } from './huffman-decoder.ts';
import { HeaderBlockReader, blockOf, bytesOf, fieldsOf, integer, literal, string } from './testdata/header-block-reader.ts';

const request = '8286 84';

describe('RFC 7541 appendix C', () => {
  it('C.2: literals, indexed or not', () => {
    const reader = new HeaderBlockReader();
    const custom = reader.read(bytesOf(`${request} 410161 400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572`), 'request');
    expect(fieldsOf(custom)).toEqual(['host: a', 'custom-key: custom-header']);
    expect(reader.decoder.tableBytes).toBe(55 + 43);
    expect(reader.read(bytesOf('8286 040c 2f73 616d 706c 652f 7061 7468 bf'), 'request')).toMatchObject({ path: '/sample/path', authority: 'a' });
    const secret = reader.read(bytesOf(`${request} bf 1008 7061 7373 776f 7264 0673 6563 7265 74`), 'request') as MessageHead;
    expect(fieldsOf(secret)).toEqual(['host: a', 'password: secret']);
    expect(secret.neverIndexed).toBe(2);
    expect(reader.decoder.tableBytes).toBe(98);
  });

  test.each([
    ['C.3: plain', [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ]],
    ['C.4: Huffman code', [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', '8286 84be 5886 a8eb 1064 9cbf', '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ]],
  ])('%s: requests of one connection', (_, blocks) => {
    const reader = new HeaderBlockReader();
    const heads = blocks.map((block) => reader.read(bytesOf(block), 'request'));
    expect(heads).toMatchObject([
      { method: 'GET', scheme: 'http', path: '/', authority: 'www.example.com' }, { scheme: 'http', path: '/' }, { scheme: 'https', path: '/index.html', pathPlain: true },
    ]);
    expect(heads.map((head) => fieldsOf(head).slice(1))).toEqual([[], ['cache-control: no-cache'], ['custom-key: custom-value']]);
    expect(reader.decoder.tableBytes).toBe(164);
  });

  test.each([
    ['C.5: plain', [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ]],
    ['C.6: Huffman code', [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3', '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ]],
  ])('%s: responses, with eviction from a table of 256 bytes', (_, blocks) => {
    const reader = new HeaderBlockReader();
    const heads = blocks.map((block, nth) => reader.read(bytesOf(nth === 0 ? `3fe101${block}` : block), 'response'));
    expect(heads).toMatchObject([{ status: 302 }, { status: 307 }, { status: 200 }]);
    const first = ['cache-control: private', 'date: Mon, 21 Oct 2013 20:13:21 GMT', 'location: https://www.example.com'];
    expect(heads.map(fieldsOf)).toEqual([first, first, [
      'cache-control: private', 'date: Mon, 21 Oct 2013 20:13:22 GMT', 'location: https://www.example.com', 'content-encoding: gzip',
      'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
    ]]);
    expect(reader.decoder.tableBytes).toBe(215);
  });
});

describe('a block that cannot be decoded ends the connection', () => {
  test.each([
    ['index 0', '80'], ['an index beyond the tables', 'be'], ['a name beyond the tables', '7f00 0161'], ['an integer that is cut off', 'ff'], ['an integer of 32 bits', 'ff ffff ffff 0f'],
    ['an integer with needless bytes', 'ff 8080 8080 00'], ['a string longer than the block', '0001 6102 62'], ['a name without a value', '0001 61'], ['nothing behind the first byte', '00'],
    ['a table larger than agreed', '3fe21f'], ['a size update behind a field', '88 20'], ['Huffman code with EOS', '0001 6184 ffff ffff'],
    ['padding of eight bits', '0001 6182 1fff'], ['padding with zeros', '0001 6181 18'],
  ])('%s', (_, hex) => {
    expect(new HeaderBlockReader().read(bytesOf(hex), 'response')).toBe('compression');
  });

  it('a smaller table that the peer has agreed to, and does not use', () => {
    const reader = new HeaderBlockReader();
    reader.decoder.setLimit(100);
    expect(reader.read(bytesOf('88'), 'response')).toBe('compression');
    const other = new HeaderBlockReader();
    other.decoder.setLimit(100);
    expect(other.read(bytesOf('3f45 88'), 'response')).toMatchObject({ status: 200 });
    expect(other.read(bytesOf('88'), 'response')).toMatchObject({ status: 200 });
  });
});

test('every short Huffman code is padded with ones or refused', () => {
  const out = Buffer.alloc(16);
  let accepted = 0;
  for (let byte = 0; byte < 256; byte++) if (decodeHuffman(Uint8Array.of(byte), 0, 1, out, 0) >= 0) accepted++;
  // 10 symbols of five bits, 26 of six, 32 of seven, 6 of eight: each with one padding.
  expect(accepted).toBe(10 + 26 + 32 + 6);
});

const basic = [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'a']] as const;
type Fields = readonly (readonly [string, string])[];
const without = (name: string): Fields => basic.filter(([known]) => known !== name);
const replaced = (name: string, value: string): Fields => basic.map(([known, old]) => [known, known === name ? value : old] as const);

describe('a malformed request (RFC 9113 section 8)', () => {
  test.each<[what: string, fields: Fields, reason: string]>([
    // security.md 2.1: names and values.
    ['an upper-case name', [...basic, ['X-A', '1']], 'field-name'], ['CR in a value', [...basic, ['x', 'a\rb']], 'field-value'],
    ['LF in a value', [...basic, ['x', 'a\nb: c']], 'field-value'], ['NUL in a value', [...basic, ['x', 'a\0b']], 'field-value'],
    ['CR LF in a value', [...basic, ['x', 'a\r\ny: z']], 'field-value'], ['LF in a name', [...basic, ['x\ny', '1']], 'field-name'], ['a space in a name', [...basic, ['x y', '1']], 'field-name'],
    ['a colon in a name', [...basic, ['x:y', '1']], 'field-name'], ['an empty name', [...basic, ['', '1']], 'field-name'], ['a leading space', [...basic, ['x', ' a']], 'field-value'],
    ['a trailing tab', [...basic, ['x', 'a\t']], 'field-value'], ['a cookie with LF', [...basic, ['cookie', 'a=b\nc']], 'field-value'],
    // security.md 2.1: fields of the connection.
    ['connection', [...basic, ['connection', 'close']], 'connection-field'], ['transfer-encoding', [...basic, ['transfer-encoding', 'chunked']], 'connection-field'],
    ['upgrade', [...basic, ['upgrade', 'h2c']], 'connection-field'], ['keep-alive', [...basic, ['keep-alive', '1']], 'connection-field'],
    ['proxy-connection', [...basic, ['proxy-connection', 'x']], 'connection-field'], ['te beyond trailers', [...basic, ['te', 'trailers, gzip']], 'te-field'],
    // security.md 2.1: pseudo-header fields.
    ['no :method', without(':method'), 'pseudo-header'], ['no :scheme', without(':scheme'), 'pseudo-header'], ['no :path', without(':path'), 'pseudo-header'], ['no authority', without(':authority'), 'authority'],
    [':method twice', [...basic, [':method', 'GET']], 'pseudo-header'], [':path twice', [...basic, [':path', '/']], 'pseudo-header'], [':scheme twice', [...basic, [':scheme', 'http']], 'pseudo-header'],
    [':authority twice', [...basic, [':authority', 'a']], 'pseudo-header'], ['one behind a field', [...without(':path'), ['x', '1'], [':path', '/']], 'pseudo-header'],
    ['an unknown one', [...basic, [':foo', '1']], 'pseudo-header'], ['a response\'s', [...basic, [':status', '200']], 'pseudo-header'], ['an upper-case one', [...basic, [':Path', '/']], 'pseudo-header'],
    ['an empty path', replaced(':path', ''), 'path'], ['a path without slash (CVE-2026-33186)', replaced(':path', 'admin'), 'path'], ['an asterisk for GET', replaced(':path', '*'), 'path'],
    ['a space in the path', replaced(':path', '/a b'), 'path'], ['a full target', replaced(':path', 'http://a/'), 'path'], ['an empty method', replaced(':method', ''), 'method'],
    ['a method with a space', replaced(':method', 'GET /x HTTP/1.1'), 'method'], ['the method of the preface', replaced(':method', 'PRI'), 'method'], ['another scheme', replaced(':scheme', 'ftp'), 'scheme'],
    ['user information', replaced(':authority', 'u:p@a'), 'authority'], ['an empty authority', replaced(':authority', ''), 'authority'], ['an authority with a path', replaced(':authority', 'a/b'), 'authority'],
    ['a host that disagrees', [...basic, ['host', 'b']], 'authority'], ['two hosts', [...without(':authority'), ['host', 'a'], ['host', 'a']], 'authority'],
    ['CONNECT with a path', replaced(':method', 'CONNECT'), 'pseudo-header'], [':protocol without CONNECT', [...basic, [':protocol', 'websocket']], 'pseudo-header'],
    // security.md 1.2 and 2.1: lengths.
    ['two lengths', [...basic, ['content-length', '0'], ['content-length', '0']], 'content-length'], ['a list of lengths', [...basic, ['content-length', '0, 0']], 'content-length'],
    ['a signed length', [...basic, ['content-length', '+0']], 'content-length'], ['an empty length', [...basic, ['content-length', '']], 'content-length'],
    ['a length where the stream ends', [...basic, ['content-length', '5']], 'body-length'],
  ])('%s', (_, fields, reason) => {
    expect(new HeaderBlockReader().read(blockOf(fields), 'request')).toBe(reason);
    // The same from the table: what was looked at when it was added is not forgotten.
    const reader = new HeaderBlockReader();
    const indexed = Buffer.concat(fields.map(([name, value]) => literal(name, value, 0x40)));
    expect(reader.read(indexed, 'request')).toBe(reason);
    const again = Buffer.concat(fields.map((_field, i) => integer(61 + fields.length - i, 0x80, 0x7f)));
    expect(reader.read(again, 'request')).toBe(reason);
  });

  it.each<[what: string, fields: Fields, expected: object]>([
    ['with an asterisk for OPTIONS', [[':method', 'OPTIONS'], [':scheme', 'http'], [':path', '*'], [':authority', 'a']], { method: 'OPTIONS', path: '*' }],
    ['with host instead of :authority', [...without(':authority'), ['host', 'A:8080']], { authority: 'a:8080' }],
    ['with both', [...basic, ['host', 'A:80']], { authority: 'a' }],
    ['with te: trailers', [...basic, ['te', 'trailers']], { connection: 32 }],
    ['that expects to be asked', [...basic, ['expect', '100-Continue']], { expectContinue: true }],
    ['CONNECT', [[':method', 'CONNECT'], [':authority', 'a:443']], { method: 'CONNECT', path: 'a:443', protocol: '' }],
    ['extended CONNECT', [[':method', 'CONNECT'], [':protocol', 'websocket'], [':scheme', 'http'], [':path', '/chat'], [':authority', 'a']], { method: 'GET', protocol: 'websocket', path: '/chat' }],
    ['with a query', replaced(':path', '/a%2db?c=d&e'), { path: '/a%2db', query: 'c=d&e', pathPlain: false, hasQuery: true }],
    ['with an empty query', replaced(':path', '/?'), { path: '/', query: '', hasQuery: true, target: '/?' }],
    ['with the names of Object', [...basic, ['__proto__', '1'], ['constructor', '2']], { rowCount: 3 }],
  ])('is not one %s', (_, fields, expected) => {
    expect(new HeaderBlockReader().read(blockOf(fields), 'request')).toMatchObject(expected);
  });
});

describe('a malformed response or trailer section', () => {
  test.each<[what: string, fields: Fields, reason: string]>([
    ['no status', [['x', '1']], 'pseudo-header'], ['two', [[':status', '200'], [':status', '200']], 'pseudo-header'], ['four digits', [[':status', '2000']], 'status'], ['no number', [[':status', '2x0']], 'status'],
    ['99', [[':status', '099']], 'status'], ['1000', [[':status', '1000']], 'status'], ['101', [[':status', '101']], 'status'], ['an interim one that ends', [[':status', '103']], 'status'],
    ['one of a request', [[':status', '200'], [':path', '/']], 'pseudo-header'], ['one behind a field', [['x', '1'], [':status', '200']], 'pseudo-header'],
  ])('status: %s', (_, fields, reason) => {
    expect(new HeaderBlockReader().read(blockOf(fields), 'response')).toBe(reason);
  });

  it('speaks of a length that does not come only for HEAD and 304', () => {
    const reader = new HeaderBlockReader();
    const block = blockOf([[':status', '200'], ['content-length', '5']]);
    expect(reader.read(block, 'response')).toBe('body-length');
    expect(reader.read(block, 'response', true, true)).toMatchObject({ bodyLength: 5 });
    expect(reader.read(blockOf([[':status', '304'], ['content-length', '5']]), 'response')).toMatchObject({ bodyLength: 5 });
    expect(reader.read(blockOf([[':status', '200']]), 'response')).toMatchObject({ bodyLength: 0 });
    expect(reader.read(blockOf([[':status', '200']]), 'response', false)).toMatchObject({ bodyLength: -1 });
  });

  it('has a pseudo-header field, or does not end', () => {
    expect(new HeaderBlockReader().read(blockOf([[':path', '/']]), 'trailers')).toBe('pseudo-header');
    expect(new HeaderBlockReader().read(bytesOf('84'), 'trailers')).toBe('pseudo-header');
    expect(new HeaderBlockReader().read(blockOf([['x', '1']]), 'trailers', false)).toBe('trailers');
  });

  it('loses what does not belong into trailers', () => {
    const head = new HeaderBlockReader().read(blockOf([['x-sum', '1'], ['authorization', 'a'], ['content-length', '5'], ['host', 'b'], ['set-cookie', 'c']]), 'trailers');
    expect(fieldsOf(head)).toEqual(['x-sum: 1']);
  });
});

test('crumbs of cookies become one line, wherever they stand', () => {
  const head = new HeaderBlockReader().read(blockOf([...basic, ['cookie', 'a=b'], ['x', '1'], ['cookie', 'c=d'], ['cookie', 'e=f']]), 'request');
  expect(fieldsOf(head)).toEqual(['host: a', 'x: 1', 'cookie: a=b; c=d; e=f']);
});

describe('limits', () => {
  it('count every field with 32 bytes more, crumbs and dropped ones too (CVE-2026-49975); the table stays in step', () => {
    const reader = new HeaderBlockReader();
    reader.limits = { bytesMax: 1000, fieldsMax: 100 };
    const crumbs = Array.from({ length: 30 }, () => ['cookie', 'a'] as const);
    expect(reader.read(blockOf([...basic, ...crumbs]), 'request')).toBe('head-too-large');
    const dropped = Array.from({ length: 30 }, () => ['te', 'trailers'] as const);
    expect(reader.read(blockOf([...basic, ...dropped]), 'request')).toBe('head-too-large');
    const late = Buffer.concat([blockOf([...basic, ['x', 'y'.repeat(100)]]), blockOf(crumbs), literal('remembered', 'yes', 0x40)]);
    expect(reader.read(late, 'request')).toBe('head-too-large');
    expect(fieldsOf(reader.read(Buffer.concat([blockOf(basic), bytesOf('be')]), 'request'))).toEqual(['host: a', 'remembered: yes']);
  });

  it('count fields', () => {
    const reader = new HeaderBlockReader();
    reader.limits = { bytesMax: 65_536, fieldsMax: 3 };
    const fields = (count: number): Fields => Array.from({ length: count }, (_, i) => [`x-${i}`, '1'] as const);
    // The authority is a field in HTTP/1.1, the other pseudo-header fields are not.
    expect(reader.read(blockOf([...basic, ...fields(2)]), 'request')).toMatchObject({ rowCount: 3 });
    expect(reader.read(blockOf([...basic, ...fields(3)]), 'request')).toBe('too-many-fields');
  });

  it('64 KiB that refer to one large field cost next to nothing (security.md 2.3)', () => {
    const reader = new HeaderBlockReader();
    const filled = Buffer.concat([blockOf(basic), literal('x', 'y'.repeat(120), 0x40)]);
    expect(reader.read(filled, 'request')).toMatchObject({ rowCount: 2 });
    const bomb = Buffer.concat([blockOf(basic), Buffer.alloc(65_536, 0xbe)]);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 20; i++) expect(['too-many-fields', 'head-too-large']).toContain(reader.read(bomb, 'request'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(6.4 * 2 ** 20);
  });

  it('a name and a value of any length within them arrive whole', () => {
    const reader = new HeaderBlockReader();
    for (const length of [1, 126, 127, 128, 255, 256, 4000, 16_000]) {
      const block = Buffer.concat([blockOf(basic), Buffer.from([0x40]), string(`x${'n'.repeat(length)}`), string('v'.repeat(length))]);
      expect(fieldsOf(reader.read(block, 'request'))[1]).toBe(`x${'n'.repeat(length)}: ${'v'.repeat(length)}`);
    }
  });
});
