import type { Choice } from '../choice.ts';
import type { BodyModel, ChunkModel, RequestModel } from './request-model.ts';

/** Names that end in a token of their own, so that whose request it was can be told wherever it turns up. */
export function tokenPath(token: string): string {
  return `/t/${token}`;
}

export const tokenPattern = /\/t\/([0-9a-f]{16})/;

/** A valid request that a gateway forwards; what it carries is varied, within what RFC 9110 and 9112 allow. */
export function generateRequest(choice: Choice, token: string): RequestModel {
  const method = choice.pick(['GET', 'GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'QUERY', 'M-SEARCH', 'PROPFIND']);
  const body = method === 'HEAD' ? { kind: 'none' as const } : generateBody(choice, token);
  return {
    method,
    target: generateTarget(choice, token),
    version: body.kind !== 'chunked' && choice.once(12) ? 'HTTP/1.0' : 'HTTP/1.1',
    fields: generateFields(choice, token),
    body,
    space: choice.pick([' ', ' ', ' ', '', '\t', '  ', ' \t ']),
  };
}

function generateTarget(choice: Choice, token: string): string {
  const path = `${tokenPath(token)}${choice.pick(['', '', '/', '/a', '/a/b.c', '/%41', '/%c3%a9', '/a+b', '/~', '/a:b', '/a@b', "/a'b", '/*'])}`;
  const query = choice.pick(['', '', '', '?', '?a=b', '?a=b&c=%2F', '?a=/../', '?a=b?c', '?%00', '?x=%ff', '?a[]=1', '?a=http://h/']);
  return choice.once(10) ? `http://app${path}${query}` : path + query;
}

function generateFields(choice: Choice, token: string): [string, string][] {
  const fields: [string, string][] = [[choice.pick(['Host', 'host', 'HOST']), 'app']];
  fields.push([choice.pick(['X-Token', 'x-token']), token]);
  for (let left = choice.below(6); left > 0; left--) fields.push(generateField(choice));
  if (choice.once(6)) fields.push(['Connection', choice.pick(['keep-alive', 'close', 'Keep-Alive', 'x-drop', 'close, x-drop', 'host', 'content-length', 'x-token', 'upgrade', 'TE', ',', ''])]);
  if (choice.once(20)) fields.push(['Expect', choice.pick(['100-continue', '100-Continue', 'x'])]);
  if (choice.once(10)) fields.push(['TE', choice.pick(['trailers', 'gzip', ''])]);
  if (choice.once(20)) fields.push(['Trailer', 'x-sum']);
  shuffle(choice, fields);
  return fields;
}

function generateField(choice: Choice): [string, string] {
  return choice.pick<() => [string, string]>([
    () => [`x-${choice.text(choice.between(1, 12), 'abcdefgh-_.!#$%&\'*+^`|~0123')}`, choice.text(choice.below(30), 'abc ,;="\\/()[]{}<>?@:\t\x80\xff\xe9')],
    () => ['Cookie', choice.pick(['a=b', 'a=b; c=d', '', '$x'])],
    () => ['Accept-Encoding', choice.pick(['gzip', 'br, gzip;q=0.5', 'identity'])],
    () => ['X-Same', choice.pick(['1', '2', '1, 2', ''])],
    () => ['x-same', choice.pick(['3', '4'])],
    () => ['X-Drop', 'nominated'],
    () => ['Content-Type', choice.pick(['text/plain', 'application/json', 'multipart/form-data; boundary="x y"'])],
    () => [choice.pick(['__proto__', 'constructor', 'toString', 'hasOwnProperty']), 'x'],
    () => ['X-Forwarded-For', '10.0.0.1'],
    () => [choice.pick(['X_Forwarded_For', 'x-forwarded.for', 'X_Remora_Reason']), 'spoofed'],
    () => ['Via', '1.1 somebody'],
    () => ['Range', 'bytes=0-1'],
    () => ['If-None-Match', '*'],
    () => ['x-long', choice.text(choice.pick([100, 1000, 4000]), 'abcdefghij')],
    () => ['x-empty', ''],
  ])();
}

function generateBody(choice: Choice, token: string): BodyModel {
  if (choice.once(2)) return { kind: 'none' };
  const bytes = generateBytes(choice, token);
  if (choice.once(2)) return { kind: 'length', bytes };
  return { kind: 'chunked', chunks: generateChunks(choice, bytes), trailers: generateTrailers(choice), lastSize: choice.pick(['0', '0', '00', '0;x', '000000']) };
}

function generateBytes(choice: Choice, token: string): string {
  return choice.pick<() => string>([
    () => '',
    () => token,
    () => `${token}${choice.text(choice.below(200), 'abc\0\r\n \x80\xff')}`,
    // A body that looks like a request: read as one, it carries the token of another.
    () => `GET /t/${'d'.repeat(16)} HTTP/1.1\r\nHost: smuggled\r\n\r\n`,
    () => `0\r\n\r\nGET /t/${'e'.repeat(16)} HTTP/1.1\r\nHost: smuggled\r\n\r\n`,
    () => choice.text(choice.pick([10, 100]), 'abcdef\r\n').repeat(choice.pick([1, 10, 200])),
  ])();
}

function generateChunks(choice: Choice, bytes: string): ChunkModel[] {
  const chunks: ChunkModel[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + choice.pick([1, 2, 16, 100, 10_000, 100_000]));
    const hex = (end - at).toString(16);
    const size = choice.pick([hex, hex, hex.toUpperCase(), hex.padStart(4, '0')]);
    chunks.push({ size, extension: choice.pick(['', '', '', ';a', ';a=b', ';a="q\\"s"']), bytes: bytes.slice(at, end) });
    at = end;
  }
  return chunks.length > 300 ? [{ size: bytes.length.toString(16), extension: '', bytes }] : chunks;
}

function generateTrailers(choice: Choice): [string, string][] {
  if (!choice.once(3)) return [];
  return [['x-sum', choice.hex(4)], ...(choice.once(2) ? [['X-More', ''] as [string, string]] : []), ...(choice.once(4) ? [[choice.pick(['Content-Length', 'Host', 'Transfer-Encoding', 'Authorization']), '5'] as [string, string]] : [])];
}

function shuffle(choice: Choice, list: [string, string][]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = choice.below(i + 1);
    const kept = list[i] as [string, string];
    list[i] = list[j] as [string, string];
    list[j] = kept;
  }
}
