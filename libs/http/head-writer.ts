import { asText, type TextBuffer } from './byte-text.ts';
import type { Field } from './head.ts';
import { headerId, headerPrefix, tokenLower } from './header-ids.ts';
import { TextField, rowRemoved, rowStride, type MessageHead } from './message-head.ts';
import { copyBytes } from './received-head.ts';
import { statusLine } from './status-line.ts';

/**
 * Writes heads as HTTP/1.1. Lines that were received and not touched are copied in runs. Framing comes from `bodyLength` alone,
 * connection options from the caller. Everything that did not pass a parser is checked once more (security.md 1.10): -1 means that
 * the head cannot be written, and nothing of it may be sent.
 *
 * The caller provides room for `headSizeMax` bytes.
 */
export function writeRequestHead(head: MessageHead, out: TextBuffer, from: number): number {
  let at = from;
  if (!head.startIntact) at = writeRequestLine(head, out, at);
  if (at >= 0 && (head.authorityChanged || (head.authority === '' && !head.has(hostId)))) at = writeText(writeBytes(hostPrefix, out, at), head.authority, out, authorityByte, true);
  if (at < 0) return at;
  at = writeFields(head, out, at, head.startIntact, head.authorityChanged);
  if (at < 0) return at;
  if (head.protocol !== '') return writeSwitchEnd(head.protocol, out, at);
  if (head.bodyLength > 0) at = writeLength(head.bodyLength, out, at);
  else if (head.bodyLength < 0) at = writeBytes(chunkedLine, out, at);
  else if (head.method === 'POST' || head.method === 'PUT' || head.method === 'PATCH') at = writeBytes(noBodyLine, out, at);
  return writeBytes(lineEnd, out, at);
}

/** How a response body is delimited on this connection. */
export interface ResponseFraming {
  /** HEAD, 1xx, 204, 304: the fields may speak of a body that is not sent. */
  readonly bodiless: boolean;
  /** The peer understands chunked; else an unknown length ends with the connection. */
  readonly chunkedAllowed: boolean;
  /** A whole line such as `connection: close\r\n`, or empty. */
  readonly connectionLine: Uint8Array;
}

/** A head with a `protocol` is the switch to it: 101, whatever its status says. */
export function writeResponseHead(head: MessageHead, framing: ResponseFraming, out: TextBuffer, from: number): number {
  let at = from;
  const switches = head.protocol !== '';
  const startIntact = head.startIntact && !switches;
  if (!startIntact) at = writeBytes(statusLine(switches ? 101 : head.status), out, at);
  at = writeFields(head, out, at, startIntact, false);
  if (at < 0) return at;
  if (switches) return writeSwitchEnd(head.protocol, out, at);
  const { status, bodyLength } = head;
  if (bodyLength >= 0) {
    // RFC 9110 section 8.6: none in 1xx and 204.
    if (status >= 200 && status !== 204) at = writeLength(bodyLength, out, at);
  } else if (!framing.bodiless && framing.chunkedAllowed) {
    at = writeBytes(chunkedLine, out, at);
  }
  at = writeBytes(framing.connectionLine, out, at);
  return writeBytes(lineEnd, out, at);
}

/** The trailer section, its end included. */
export function writeTrailers(head: MessageHead, out: TextBuffer, from: number): number {
  const at = writeFields(head, out, from, false, false);
  return at < 0 ? at : writeBytes(lineEnd, out, at);
}

/** Upper bound of what the functions above write. */
export function headSizeMax(head: MessageHead): number {
  let size = head.byteLength + fixedPartMax + head.authority.length + head.protocol.length;
  if (!head.startIntact) size += head.method.length + head.path.length + (head.hasQuery ? head.query.length : 0);
  const { added } = head;
  for (let i = 0; i < added.length; i++) {
    const field = added[i] as Field;
    // A value beyond Latin-1 becomes UTF-8: at most three bytes per unit.
    size += field.line.length > 0 ? field.line.length : field.name.length + field.value.length * 3 + 4;
  }
  return size;
}

/** What asks for, or answers, a switch of protocols (RFC 9110 section 7.8), and the end of the head. */
function writeSwitchEnd(protocol: string, out: TextBuffer, from: number): number {
  const at = writeText(writeBytes(upgradePrefix, out, from), protocol, out, protocolByte, true);
  return at < 0 ? -1 : writeBytes(lineEnd, out, at);
}

function writeRequestLine(head: MessageHead, out: TextBuffer, from: number): number {
  let at = writeText(from, head.method, out, tokenLower, false);
  if (at < 0) return -1;
  out[at++] = SP;
  at = writeText(at, head.path, out, targetByte, false);
  if (at >= 0 && head.hasQuery) {
    out[at++] = QUESTION;
    at = head.query === '' ? at : writeText(at, head.query, out, targetByte, false);
  }
  return at < 0 ? -1 : writeBytes(versionEnd, out, at);
}

function writeFields(head: MessageHead, out: TextBuffer, from: number, withStart: boolean, skipHost: boolean): number {
  const { rows, rowCount, bytes } = head;
  let at = from;
  let runAt = head.startAt;
  let runEnd = withStart ? head.startEnd : runAt;
  for (let i = 0, row = head.rowsAt; i < rowCount; i++, row += rowStride) {
    const id = rows[row] as number;
    if (id === rowRemoved || (skipHost && id === hostId)) continue;
    const lineAt = rows[row + 1] as number;
    if (lineAt !== runEnd) {
      copyBytes(bytes, runAt, runEnd, out, at);
      at += runEnd - runAt;
      runAt = lineAt;
    }
    runEnd = rows[row + 5] as number;
  }
  copyBytes(bytes, runAt, runEnd, out, at);
  at += runEnd - runAt;
  const { added } = head;
  for (let i = 0; i < added.length && at >= 0; i++) at = writeField(added[i] as Field, out, at);
  return at;
}

function writeField(field: Field, out: TextBuffer, from: number): number {
  if (field instanceof TextField) return writeTextField(field, out, from);
  return writeBytes(field.line, out, from);
}

/** Its value was checked when it was made. */
function writeTextField({ id, value, wide }: TextField, out: TextBuffer, from: number): number {
  const at = writeBytes(headerPrefix(id), out, from);
  return writeBytes(lineEnd, out, at + (wide ? out.write(value, at, 'utf8') : out.latin1Write(value, at, value.length)));
}

/** Characters that `allowed` marks with non-zero. With `line`, CRLF behind it. */
function writeText(from: number, text: string, out: TextBuffer, allowed: Uint8Array, line: boolean): number {
  if (from < 0 || (text === '' && !line)) return -1;
  let at = from;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff || allowed[code] === 0) return -1;
    out[at++] = code;
  }
  return line ? writeBytes(lineEnd, out, at) : at;
}

function writeBytes(bytes: Uint8Array, out: Uint8Array, from: number): number {
  copyBytes(bytes, 0, bytes.length, out, from);
  return from + bytes.length;
}

function writeLength(length: number, out: Uint8Array, from: number): number {
  const at = writeNumber(length, out, writeBytes(lengthPrefix, out, from));
  return writeBytes(lineEnd, out, at);
}

/** Decimal digits of a whole number, without making a string. */
export function writeNumber(value: number, out: Uint8Array, from: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  let rest = value;
  for (let at = from + digits - 1; at >= from; at--) {
    out[at] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return from + digits;
}

const fixedPartMax = 256;
const SP = 32;
const QUESTION = 63;
const hostId = headerId('host');
const lineEnd = asText(Buffer.from('\r\n'));
const hostPrefix = Buffer.from('host: ');
const upgradePrefix = Buffer.from('connection: Upgrade\r\nupgrade: ');
const lengthPrefix = Buffer.from('content-length: ');
const noBodyLine = Buffer.from('content-length: 0\r\n');
const chunkedLine = Buffer.from('transfer-encoding: chunked\r\n');
const versionEnd = Buffer.from(' HTTP/1.1\r\n');
export const closeLine: Uint8Array = Buffer.from('connection: close\r\n');
export const keepAliveLine: Uint8Array = Buffer.from('connection: keep-alive\r\n');
export const noConnectionLine: Uint8Array = new Uint8Array(0);
const targetByte = new Uint8Array(256);
for (let i = 33; i < 127; i++) targetByte[i] = 1;
const authorityByte = new Uint8Array(256);
for (let i = 33; i < 127; i++) authorityByte[i] = 1;
/** `token/token, token` */
const protocolByte = Uint8Array.from(tokenLower);
for (const char of '/, ') protocolByte[char.charCodeAt(0)] = 1;
