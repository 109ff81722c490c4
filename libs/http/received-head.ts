import { removeFalseAnnouncements } from './announced-trailers.ts';
import { asText, type TextBuffer } from './byte-text.ts';
import type { HeadArena } from './head-arena.ts';
import { forbiddenInTrailers } from './forbidden-in-trailers.ts';
import { connectionNames, connectionUpgrade, lastFramingId, scanBad, scanComplete, unknownExpectation, type HeadScanner, type ScanVerdict } from './head-scanner.ts';
import { fixedHeaderCount, hashHeaderByte, headerId, headerTableVersion, lookUpHeaderBytes, tokenLower } from './header-ids.ts';
import { MessageHead, rowStride } from './message-head.ts';
import { methodText, sharedText } from './shared-text.ts';

/**
 * Makes a head from what the scanner found: copies its bytes into the arena, leaves out what belongs to the connection, and
 * checks what needs more than one field (RFC 9112 sections 3 and 6). The verdict is `scanComplete` or a refusal.
 */
export function takeRequestHead(scanner: HeadScanner, bytes: Uint8Array, from: number, arena: HeadArena, head: MessageHead): ScanVerdict {
  const text = adopt(scanner, bytes, from, arena, head);
  const base = arena.textAt;
  head.method = methodText(text, base + scanner.startAt, base + scanner.methodEnd);
  head.minorVersion = scanner.minorVersion;
  if (head.method !== 'GET' && otherProtocols.has(head.method)) return scanBad;
  if (scanner.transferEncoding && scanner.minorVersion === 0) return scanBad;
  if (scanner.hostRow < 0 && scanner.minorVersion === 1) return scanBad;
  if ((scanner.connection & unknownExpectation) !== 0 && scanner.minorVersion === 0) head.connection &= ~unknownExpectation;
  if (scanner.hostRow >= 0 && !takeHost(scanner, text, base, head)) return scanBad;
  head.bodyLength = scanner.chunked ? -1 : Math.max(0, scanner.contentLength);
  removeFalseAnnouncements(head);
  if (scanner.upgrade && mayUpgrade(scanner, head)) head.protocol = upgradeProtocol(scanner, bytes, from, head.method);
  return takeTarget(scanner, text, base, head) ? scanComplete : scanBad;
}

/** `bodyLength` is what the fields say, -1 where they say nothing; whether there is a body depends on the request too. */
export function takeResponseHead(scanner: HeadScanner, bytes: Uint8Array, from: number, arena: HeadArena, head: MessageHead): ScanVerdict {
  adopt(scanner, bytes, from, arena, head);
  head.status = scanner.status;
  head.minorVersion = scanner.minorVersion;
  if (scanner.transferEncoding && scanner.minorVersion === 0) return scanBad;
  head.bodyLength = scanner.chunked ? -1 : scanner.contentLength;
  removeFalseAnnouncements(head);
  // RFC 9112 section 4: the space before an empty reason phrase is not optional for who sends.
  head.startIntact = scanner.minorVersion === 1 && scanner.startEnd - scanner.startAt > shortestStatusLine;
  // HTTP/1.0 knows no switch (RFC 9110 section 7.8).
  if (scanner.status === 101 && scanner.minorVersion === 1 && (scanner.connection & connectionUpgrade) !== 0) head.protocol = upgradeProtocol(scanner, bytes, from, 'GET');
  return scanComplete;
}

/** Fields that frame, route or authenticate are not accepted in trailers (RFC 9110 section 6.5.1): they are left out. */
export function takeTrailers(scanner: HeadScanner, bytes: Uint8Array, from: number, arena: HeadArena, head: MessageHead): ScanVerdict {
  adopt(scanner, bytes, from, arena, head);
  for (const id of forbiddenInTrailers) head.remove(id);
  return scanComplete;
}

function adopt(scanner: HeadScanner, bytes: Uint8Array, from: number, arena: HeadArena, head: MessageHead): TextBuffer {
  const { length } = scanner;
  const text = arena.reserveText(length);
  const base = arena.textAt;
  copyBytes(bytes, from, from + length, text, base);
  if (scanner.tableVersion !== headerTableVersion()) lookUpAgain(scanner, bytes, from);
  const rows = arena.reserveRows(scanner.rowCount * rowStride);
  const count = copyRows(scanner, bytes, from, text, rows, arena.rowsAt, base);
  head.adoptRows(text, rows, arena.rowsAt, count);
  head.startAt = base + scanner.startAt;
  head.startEnd = base + scanner.startEnd;
  head.byteLength = length;
  head.connection = scanner.connection;
  head.chunked = scanner.chunked;
  head.expectContinue = scanner.expectContinue;
  head.keepAliveSeconds = scanner.keepAliveSeconds;
  return text;
}

function copyRows(scanner: HeadScanner, bytes: Uint8Array, from: number, text: Uint8Array, rows: Int32Array, at: number, base: number): number {
  const source = scanner.rows;
  const nominated = (scanner.connection & connectionNames) !== 0 ? nominatedNames(scanner, bytes, from) : null;
  let to = at;
  for (let i = 0, row = 0; i < scanner.rowCount; i++, row += rowStride) {
    const id = source[row] as number;
    if (id > hostId && id <= lastFramingId && id !== trailerId) continue;
    if (nominated !== null && mayBeStripped(id) && nominated.has(rowName(source, row, bytes, from))) continue;
    rows[to] = id;
    rows[to + 1] = (source[row + 1] as number) + base;
    const nameEnd = (source[row + 2] as number) + base;
    const valueAt = (source[row + 3] as number) + base;
    const valueEnd = (source[row + 4] as number) + base;
    const lineEnd = (source[row + 5] as number) + base;
    if (valueAt - nameEnd > 2 || lineEnd - valueEnd > 2 || text[valueAt - 1] === HTAB) blankSpace(text, nameEnd + 1, valueAt, valueEnd, lineEnd);
    rows[to + 2] = nameEnd;
    rows[to + 3] = valueAt;
    rows[to + 4] = valueEnd;
    rows[to + 5] = lineEnd;
    to += rowStride;
  }
  return (to - at) / rowStride;
}

/**
 * Turns tabs around a value into spaces, in our own copy, from which untouched lines are written: RFC 9112 section 5.1 allows both, but there are servers
 * (nginx 1.22) for which a leading tab is a part of the value.
 */
function blankSpace(text: Uint8Array, spaceAt: number, valueAt: number, valueEnd: number, lineEnd: number): void {
  text.fill(SP, spaceAt, valueAt);
  text.fill(SP, valueEnd, lineEnd - 2);
}

/**
 * Only names that no part of the gateway knows can be stripped by naming them in `Connection` (security.md 3.3): what we add comes
 * later, what we need has an id.
 */
function mayBeStripped(id: number): boolean {
  return id === 0 || id >= fixedHeaderCount;
}

function nominatedNames(scanner: HeadScanner, bytes: Uint8Array, from: number): Set<string> {
  const names = new Set<string>();
  const text = asText(bytes);
  for (let i = 0, row = 0; i < scanner.rowCount; i++, row += rowStride) {
    if (scanner.rows[row] !== connectionId) continue;
    const value = text.latin1Slice(from + (scanner.rows[row + 3] as number), from + (scanner.rows[row + 4] as number));
    for (const name of value.split(',', nominatedMax)) names.add(name.trim().toLowerCase());
  }
  return names;
}

function rowName(rows: Int32Array, row: number, bytes: Uint8Array, from: number): string {
  return asText(bytes).latin1Slice(from + (rows[row + 1] as number), from + (rows[row + 2] as number)).toLowerCase();
}

/** Configuration named new headers while the head arrived. */
function lookUpAgain(scanner: HeadScanner, bytes: Uint8Array, from: number): void {
  const { rows } = scanner;
  for (let i = 0, row = 0; i < scanner.rowCount; i++, row += rowStride) {
    const start = from + (rows[row + 1] as number);
    const end = from + (rows[row + 2] as number);
    let hash = 0;
    for (let at = start; at < end; at++) hash = hashHeaderByte(hash, tokenLower[bytes[at] as number] as number);
    rows[row] = lookUpHeaderBytes(bytes, start, end, hash);
  }
}

function takeHost(scanner: HeadScanner, text: TextBuffer, base: number, head: MessageHead): boolean {
  const row = scanner.hostRow * rowStride;
  const at = base + (scanner.rows[row + 3] as number);
  const end = base + (scanner.rows[row + 4] as number);
  if (at === end) return true;
  if (!validAuthority(text, at, end)) return false;
  head.authority = sharedText(text, at, end);
  return true;
}

function takeTarget(scanner: HeadScanner, text: TextBuffer, base: number, head: MessageHead): boolean {
  const at = base + scanner.targetAt;
  const end = base + scanner.targetEnd;
  if (text[at] === SLASH && head.method !== 'CONNECT') {
    takePath(scanner, text, base, at, head);
    head.startIntact = scanner.minorVersion === 1;
    return true;
  }
  if (head.method === 'CONNECT') {
    if (!validAuthority(text, at, end)) return false;
    head.setTarget(text.latin1Slice(at, end).toLowerCase(), '');
    head.authority = head.path;
    return true;
  }
  if (end - at === 1 && text[at] === STAR && head.method === 'OPTIONS') {
    head.setTarget('*', '');
    head.startIntact = scanner.minorVersion === 1;
    return true;
  }
  return takeAbsolute(scanner, text, base, head);
}

/** `http://authority/path?query` (RFC 9112 section 3.2.2): the authority must agree with Host, user information is refused. */
function takeAbsolute(scanner: HeadScanner, text: TextBuffer, base: number, head: MessageHead): boolean {
  const start = base + scanner.targetAt;
  const end = base + scanner.targetEnd;
  const scheme = text.latin1Slice(start, Math.min(end, start + 8)).toLowerCase();
  const authorityAt = scheme.startsWith('http://') ? start + 7 : scheme === 'https://' ? start + 8 : -1;
  if (authorityAt < 0) return false;
  let at = authorityAt;
  while (at < end && text[at] !== SLASH && text[at] !== QUESTION) at++;
  if (!validAuthority(text, authorityAt, at)) return false;
  const authority = text.latin1Slice(authorityAt, at).toLowerCase();
  if (head.authority !== '' && withoutDefaultPort(head.authority) !== withoutDefaultPort(authority)) return false;
  if (head.authority === '' && scanner.hostRow >= 0) return false;
  head.authority = authority;
  if (scanner.hostRow < 0) head.setAuthority(authority);
  head.scheme = authorityAt === start + 8 ? 'https' : 'http';
  if (text[at] === SLASH) takePath(scanner, text, base, at, head);
  else {
    head.path = '/';
    if (at < end) head.adoptQuery(at + 1, end);
  }
  // The scanner judged the scheme's slashes as part of the path.
  head.pathPlain = false;
  return true;
}

function takePath(scanner: HeadScanner, text: TextBuffer, base: number, at: number, head: MessageHead): void {
  const end = base + scanner.targetEnd;
  const queryAt = scanner.queryAt < 0 ? -1 : base + scanner.queryAt;
  head.path = text.latin1Slice(at, queryAt < 0 ? end : queryAt);
  if (queryAt >= 0) head.adoptQuery(queryAt + 1, end);
  head.pathPlain = scanner.targetPlain;
}

export function withoutDefaultPort(authority: string): string {
  return authority.endsWith(':80') ? authority.slice(0, -3) : authority;
}

/** uri-host [":" port] of RFC 9110 section 7.2, without percent encoding. */
export function validAuthority(text: Uint8Array, from: number, end: number): boolean {
  let at = from;
  if (end - from > authorityMax) return false;
  if (text[at] === BRACKET) {
    at++;
    while (at < end && text[at] !== BRACKET_END) {
      const byte = text[at] as number;
      if (!(byte >= 48 && byte <= 58) && !((byte | 32) >= 97 && (byte | 32) <= 102) && byte !== 46) return false;
      at++;
    }
    if (at >= end || at === from + 1) return false;
    at++;
  } else {
    while (at < end && hostByte[text[at] as number] === 1) at++;
    if (at === from) return false;
  }
  if (at === end) return true;
  if (text[at] !== COLON || end - at > 6) return false;
  for (let i = at + 1; i < end; i++) if ((text[i] as number) < 48 || (text[i] as number) > 57) return false;
  return true;
}

/**
 * Whether the request can switch protocols (RFC 9110 section 7.8): `Connection` names `Upgrade`, HTTP/1.1, and no body, which would have to
 * be sent before the switch. Otherwise `Upgrade` is ignored, as a server may.
 */
function mayUpgrade(scanner: HeadScanner, head: MessageHead): boolean {
  return (scanner.connection & connectionUpgrade) !== 0 && scanner.minorVersion === 1 && head.bodyLength === 0 && head.method !== 'CONNECT';
}

/**
 * What `Upgrade` asks for, without what carries HTTP again: behind such a switch requests would pass that nobody looked at. `websocket` (RFC
 * 6455, GET only) is chosen where it is among several; '' where nothing is left or it is not spelled as protocols are.
 */
function upgradeProtocol(scanner: HeadScanner, bytes: Uint8Array, from: number, method: string): string {
  const asked: string[] = [];
  for (let i = 0, row = 0; i < scanner.rowCount; i++, row += rowStride) {
    if (scanner.rows[row] !== upgradeId) continue;
    const value = asText(bytes).latin1Slice(from + (scanner.rows[row + 3] as number), from + (scanner.rows[row + 4] as number));
    for (const protocol of value.split(',', upgradesMax)) asked.push(protocol.trim());
  }
  const usable = asked.filter((protocol) => isProtocol(protocol) && !carriesHttp(protocol.toLowerCase()));
  if (usable.some((protocol) => protocol.toLowerCase() === 'websocket')) return method === 'GET' ? 'websocket' : '';
  return usable.slice(0, upgradesMax).join(', ');
}

/** token ["/" token] */
function isProtocol(text: string): boolean {
  if (text.length === 0 || text.length > protocolMax) return false;
  let slashAt = -1;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '/' && slashAt < 0 && i > 0 && i < text.length - 1) slashAt = i;
    else if ((tokenLower[text.charCodeAt(i)] ?? 0) === 0) return false;
  }
  return true;
}

function carriesHttp(protocol: string): boolean {
  const name = protocol.split('/', 1)[0] ?? '';
  return name === 'h2c' || name === 'h2' || name === 'h3' || name === 'http' || name === 'tls' || name.startsWith('connect-');
}

/** Short copies are cheaper in a loop than in a call. */
export function copyBytes(source: Uint8Array, from: number, end: number, target: Uint8Array, at: number): void {
  if (end - from > loopCopyMax) {
    copy.call(source, target, at, from, end);
    return;
  }
  for (let i = from, to = at; i < end; i++, to++) target[to] = source[i] as number;
}

/**
 * Methods of protocols that share HTTP's syntax, sent here by mistake or to confuse an upstream that speaks both: HTTP/2's preface (RFC 9113
 * section 3.4) and RTSP (RFC 7826 section 13). No registered HTTP method has these names.
 */
export const otherProtocols: ReadonlySet<string> = new Set([
  'PRI', 'DESCRIBE', 'ANNOUNCE', 'SETUP', 'PLAY', 'PAUSE', 'TEARDOWN', 'GET_PARAMETER', 'SET_PARAMETER', 'REDIRECT', 'RECORD', 'FLUSH',
]);
const loopCopyMax = 24;
/** Works for any bytes, and makes no view of them. */
const { copy } = Buffer.prototype;
/** `HTTP/1.1 200` and its line end. */
const shortestStatusLine = 14;
const nominatedMax = 64;
const upgradesMax = 8;
const protocolMax = 64;
const authorityMax = 260;
const HTAB = 9;
const SP = 32;
const SLASH = 47;
const QUESTION = 63;
const STAR = 42;
const COLON = 58;
const BRACKET = 91;
const BRACKET_END = 93;
const hostId = headerId('host');
const trailerId = headerId('trailer');
const connectionId = headerId('connection');
const upgradeId = headerId('upgrade');
const hostByte = new Uint8Array(256);
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=") hostByte[char.charCodeAt(0)] = 1;
