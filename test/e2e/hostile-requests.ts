/** One input that must be refused: bytes of a request, after which another request follows that must not reach anybody. */
export interface HostileRequest {
  readonly name: string;
  readonly bytes: string;
  /** Of the answer. */
  readonly status: number;
}

const get = (fields: string): string => `GET /evil HTTP/1.1\r\nhost: a\r\n${fields}\r\n`;
const post = (fields: string, body: string): string => `POST /evil HTTP/1.1\r\nhost: a\r\n${fields}\r\n${body}`;
const chunked = (body: string): string => post('transfer-encoding: chunked\r\n', body);
const line = (start: string): string => `${start}\r\nhost: a\r\n\r\n`;

const bad = (name: string, bytes: string, status = 400): HostileRequest => ({ name, bytes, status });

/** security.md 1.1: only CRLF ends a line. */
const lines: readonly HostileRequest[] = [
  bad('bare LF after the request line', 'GET /evil HTTP/1.1\nhost: a\r\n\r\n'),
  bad('bare LF everywhere', 'GET /evil HTTP/1.1\nhost: a\n\n'),
  bad('bare LF after a field', 'GET /evil HTTP/1.1\r\nhost: a\nx: y\r\n\r\n'),
  bad('bare LF as the empty line', 'GET /evil HTTP/1.1\r\nhost: a\r\n\n'),
  bad('bare CR in a value', get('x: a\rb\r\n')),
  bad('bare CR before a name', get('x: a\r\n\rtransfer-encoding: chunked\r\n')),
  bad('CR CR LF', get('x: a\r\r\n')),
  bad('CR in the request line', 'GET /evil\r HTTP/1.1\r\nhost: a\r\n\r\n'),
  bad('NUL in a value', get('x: a\0b\r\n')),
  bad('NUL in a name', get('x\0y: a\r\n')),
  bad('NUL in the target', line('GET /evil\0 HTTP/1.1')),
  bad('DEL in a value', get('x: a\x7fb\r\n')),
  bad('obs-fold with a space', get('x: a\r\n b\r\n')),
  bad('obs-fold with a tab', get('x: a\r\n\tb\r\n')),
  bad('a space before the first field', 'GET /evil HTTP/1.1\r\n host: a\r\n\r\n'),
  bad('a space before the colon', get('transfer-encoding : chunked\r\n')),
  bad('a tab before the colon', get('content-length\t: 5\r\n')),
  bad('an empty name', get(': a\r\n')),
  bad('a line without colon', get('content-length\r\n')),
  bad('a name with brackets', get('x[1]: a\r\n')),
  bad('a name beyond ASCII', get('x\xe9: a\r\n')),
];

/** security.md 1.2: one length, or chunked, and nothing else. */
const framing: readonly HostileRequest[] = [
  bad('equal lengths twice', post('content-length: 3\r\ncontent-length: 3\r\n', 'abc')),
  bad('different lengths', post('content-length: 3\r\ncontent-length: 4\r\n', 'abcd')),
  bad('a list of lengths', post('content-length: 3, 3\r\n', 'abc')),
  bad('an empty length', post('content-length: \r\n', '')),
  bad('a length with plus', post('content-length: +3\r\n', 'abc')),
  bad('a negative length', post('content-length: -3\r\n', 'abc')),
  bad('a length in hex', post('content-length: 0x3\r\n', 'abc')),
  bad('a length with a space', post('content-length: 1 1\r\n', 'abc')),
  bad('a length with an underscore', post('content-length: 1_1\r\n', 'abc')),
  bad('a length with a point', post('content-length: 3.0\r\n', 'abc')),
  bad('a length of 2^53', post('content-length: 9007199254740992\r\n', 'abc')),
  bad('a length of 25 digits', post('content-length: 1000000000000000000000000\r\n', 'abc')),
  bad('a length and chunked', post('content-length: 5\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n')),
  bad('chunked and a length', post('transfer-encoding: chunked\r\ncontent-length: 5\r\n', '0\r\n\r\n')),
  bad('chunked twice', post('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n')),
  bad('chunked in a list', post('transfer-encoding: gzip, chunked\r\n', '0\r\n\r\n')),
  bad('chunked, chunked', post('transfer-encoding: chunked, chunked\r\n', '0\r\n\r\n')),
  bad('chunked before identity', post('transfer-encoding: chunked, identity\r\n', '0\r\n\r\n')),
  bad('identity', post('transfer-encoding: identity\r\n', 'abc')),
  bad('xchunked', post('transfer-encoding: xchunked\r\n', '0\r\n\r\n')),
  bad('quoted chunked', post('transfer-encoding: "chunked"\r\n', '0\r\n\r\n')),
  bad('chunked behind a vertical tab', post('transfer-encoding: \vchunked\r\n', '0\r\n\r\n')),
  bad('an empty transfer coding', post('transfer-encoding:\r\n', '0\r\n\r\n')),
  bad('chunked in HTTP/1.0', 'POST /evil HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
];

/** security.md 1.3: chunks. */
const chunks: readonly HostileRequest[] = [
  bad('a size with plus', chunked('+3\r\nabc\r\n0\r\n\r\n')),
  bad('a negative size', chunked('-3\r\nabc\r\n0\r\n\r\n')),
  bad('a size with 0x', chunked('0x3\r\nabc\r\n0\r\n\r\n')),
  bad('a size with an underscore', chunked('0_3\r\nabc\r\n0\r\n\r\n')),
  bad('a space before the size', chunked(' 3\r\nabc\r\n0\r\n\r\n')),
  bad('a space behind the size', chunked('3 \r\nabc\r\n0\r\n\r\n')),
  bad('no size', chunked('\r\nabc\r\n0\r\n\r\n')),
  bad('a size of 16 digits', chunked('0000000000000003\r\nabc\r\n0\r\n\r\n')),
  bad('a size beyond 2^53', chunked('fffffffffffffff\r\nabc\r\n0\r\n\r\n')),
  bad('a size ended by LF', chunked('3\nabc\r\n0\r\n\r\n')),
  bad('data ended by LF', chunked('3\r\nabc\n0\r\n\r\n')),
  bad('data longer than its size', chunked('3\r\nabcd\r\n0\r\n\r\n')),
  bad('an extension ended by LF', chunked('3;a=b\nabc\r\n0\r\n\r\n')),
  bad('an extension with a bare CR', chunked('3;a\rb\r\nabc\r\n0\r\n\r\n')),
  bad('an extension that is none', chunked('3;;\r\nabc\r\n0\r\n\r\n')),
  bad('extensions without end', chunked(`3;${'a'.repeat(5000)}\r\nabc\r\n0\r\n\r\n`)),
  bad('trailers ended by LF', chunked('3\r\nabc\r\n0\r\nx: y\n\r\n')),
  bad('trailers with a fold', chunked('3\r\nabc\r\n0\r\nx: y\r\n z\r\n\r\n')),
  bad('trailers without colon', chunked('3\r\nabc\r\n0\r\nxy\r\n\r\n')),
];

/** security.md 1.4 and 1.5: sizes, request line, Host. */
const heads: readonly HostileRequest[] = [
  bad('two parts', 'GET /evil\r\nhost: a\r\n\r\n'),
  bad('four parts', line('GET /evil x HTTP/1.1')),
  bad('two spaces', line('GET  /evil HTTP/1.1')),
  bad('a tab between the parts', line('GET\t/evil HTTP/1.1')),
  bad('a space behind the version', line('GET /evil HTTP/1.1 ')),
  bad('a space before the method', line(' GET /evil HTTP/1.1')),
  bad('a method that is no token', line('GE(T /evil HTTP/1.1')),
  bad('a version in lower case', line('GET /evil http/1.1')),
  bad('a version with three digits', line('GET /evil HTTP/1.10')),
  bad('HTTP/1.2', line('GET /evil HTTP/1.2'), 505),
  bad('HTTP/2.0', line('GET /evil HTTP/2.0'), 505),
  bad('a preface of HTTP/2 that is none', 'PRI * HTTP/2.0\r\nhost: a\r\n\r\n', 505),
  bad('a TLS ClientHello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03evil'),
  bad('a target that is a word', line('GET evil HTTP/1.1')),
  bad('authority form without CONNECT', line('GET a:80 HTTP/1.1')),
  bad('asterisk form without OPTIONS', line('GET * HTTP/1.1')),
  bad('bytes beyond ASCII in the target', line('GET /\xe9vil HTTP/1.1')),
  bad('CONNECT', 'CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n', 403),
  bad('no Host', 'GET /evil HTTP/1.1\r\n\r\n'),
  bad('two Hosts', 'GET /evil HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n'),
  bad('a Host with a space', 'GET /evil HTTP/1.1\r\nhost: a b\r\n\r\n'),
  bad('a Host with a slash', 'GET /evil HTTP/1.1\r\nhost: a/b\r\n\r\n'),
  bad('a Host with user information', 'GET /evil HTTP/1.1\r\nhost: u@a\r\n\r\n'),
  bad('a Host with a port that is none', 'GET /evil HTTP/1.1\r\nhost: a:b\r\n\r\n'),
  bad('an absolute target that disagrees with Host', line('GET http://b/evil HTTP/1.1')),
  bad('user information in an absolute target', line('GET http://u@a/evil HTTP/1.1')),
  bad('a head of one byte too many', get(`x: ${'y'.repeat(64 * 1024 - 'GET /evil HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n'.length + 1)}\r\n`), 431),
  bad('a request line without end', `GET /${'e'.repeat(70_000)}`, 431),
  bad('one field too many', get(Array.from({ length: 100 }, (_, i) => `x${i}: y\r\n`).join('')), 431),
  bad('an expectation that is not known', post('expect: 200-ok\r\ncontent-length: 3\r\n', 'abc'), 417),
];

export const hostileRequests: readonly HostileRequest[] = [...lines, ...framing, ...chunks, ...heads];

/** What is unusual, and must pass all the same. */
export const unusualRequests: readonly { readonly name: string; readonly bytes: string; readonly seen: string; readonly bodyBytes?: number }[] = [
  { name: 'empty lines before the request', bytes: '\r\n\r\nGET /ok HTTP/1.1\r\nhost: a\r\n\r\n', seen: 'GET /ok' },
  { name: 'an absolute target that agrees', bytes: 'GET http://a/ok HTTP/1.1\r\nhost: a\r\n\r\n', seen: 'GET /ok' },
  { name: 'chunked in another case, behind a tab', bytes: 'POST /ok HTTP/1.1\r\nhost: a\r\nTransfer-Encoding:\tChunked\r\n\r\n3;a="b;c"\r\nabc\r\n0\r\nx: y\r\n\r\n', seen: 'POST /ok', bodyBytes: 3 },
  { name: 'values beyond ASCII', bytes: 'GET /ok HTTP/1.1\r\nhost: a\r\nx: \xe9\xff\r\n\r\n', seen: 'GET /ok' },
  { name: 'a head of exactly the limit', bytes: get(`x: ${'y'.repeat(64 * 1024 - 'GET /evil HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n'.length)}\r\n`).replace('/evil', '/fits'), seen: 'GET /fits' },
  { name: 'as many fields as allowed', bytes: get(Array.from({ length: 99 }, (_, i) => `x${i}: y\r\n`).join('')).replace('/evil', '/many'), seen: 'GET /many' },
  { name: 'fields named like parts of every object', bytes: get('__proto__: a\r\nconstructor: b\r\ntostring: c\r\n').replace('/evil', '/names'), seen: 'GET /names' },
];
