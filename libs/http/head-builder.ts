import { allocateText, encodeValue } from './byte-text.ts';
import { hashHeaderByte, lookUpHeaderBytes, tokenLower } from './header-ids.ts';
import { MessageHead, rowStride } from './message-head.ts';

/** Names and values, in order; a list for what may repeat. */
export type HeaderList = Readonly<Record<string, string | readonly string[]>> | readonly (readonly [string, string])[];

export interface RequestHeadParts {
  readonly method: string;
  readonly authority: string;
  /** Origin form, canonical: `/orders?page=2`. */
  readonly target: string;
  readonly headers?: HeaderList;
  readonly scheme?: string;
  /** -1 unknown, 0 (default) none. */
  readonly bodyLength?: number;
}

/** A request head as the codec would have made it, from parts: for tests and for answers to "what would happen". */
export function buildRequestHead(parts: RequestHeadParts): MessageHead {
  const head = new MessageHead();
  head.method = parts.method;
  head.scheme = parts.scheme ?? 'http';
  head.authority = parts.authority.toLowerCase();
  const query = parts.target.indexOf('?');
  head.setTarget(query < 0 ? parts.target : parts.target.slice(0, query), query < 0 ? '' : parts.target.slice(query + 1));
  head.hasQuery = query >= 0;
  head.bodyLength = parts.bodyLength ?? 0;
  const fields = flatten(parts.headers ?? []);
  if (parts.authority !== '' && !fields.some(([name]) => name.toLowerCase() === 'host')) fields.unshift(['host', parts.authority]);
  fillRows(head, fields);
  return head;
}

export interface ResponseHeadParts {
  readonly status: number;
  readonly headers?: HeaderList;
  /** -1 unknown, 0 (default) none. */
  readonly bodyLength?: number;
}

export function buildResponseHead(parts: ResponseHeadParts): MessageHead {
  const head = new MessageHead();
  head.status = parts.status;
  head.bodyLength = parts.bodyLength ?? 0;
  fillRows(head, flatten(parts.headers ?? []));
  return head;
}

function flatten(headers: HeaderList): [string, string][] {
  if (Array.isArray(headers)) return (headers as readonly (readonly [string, string])[]).map(([name, value]) => [name, value]);
  const fields: [string, string][] = [];
  for (const [name, values] of Object.entries(headers as Readonly<Record<string, string | readonly string[]>>)) {
    for (const value of typeof values === 'string' ? [values] : values) fields.push([name, value]);
  }
  return fields;
}

function fillRows(head: MessageHead, fields: readonly (readonly [string, string])[]): void {
  const lines = fields.map(([name, value]) => ({ name: Buffer.from(name, 'latin1'), value: encodeValue(value) }));
  const bytes = allocateText(lines.reduce((sum, line) => sum + line.name.length + line.value.length + 4, 0));
  const rows = new Int32Array(lines.length * rowStride);
  let at = 0;
  lines.forEach(({ name, value }, i) => {
    const nameEnd = at + name.length;
    const valueStart = nameEnd + 2;
    const valueEnd = valueStart + value.length;
    bytes.set(name, at);
    bytes.set(colonSpace, nameEnd);
    bytes.set(value, valueStart);
    bytes.set(lineEnd, valueEnd);
    checkLine(name, value);
    rows.set([idOf(bytes, at, nameEnd), at, nameEnd, valueStart, valueEnd, valueEnd + 2], i * rowStride);
    at = valueEnd + 2;
  });
  head.adoptRows(bytes, rows, 0, lines.length);
  head.byteLength = at;
}

function idOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let i = start; i < end; i++) hash = hashHeaderByte(hash, tokenLower[bytes[i] as number] as number);
  return lookUpHeaderBytes(bytes, start, end, hash);
}

function checkLine(name: Buffer, value: Buffer): void {
  if (name.length === 0 || name.some((byte) => tokenLower[byte] === 0)) {
    throw new RangeError(`not a header name: ${JSON.stringify(name.toString('latin1'))}`);
  }
  if (value.some((byte) => byte === 0 || byte === 10 || byte === 13)) {
    throw new RangeError(`header ${name.toString('latin1')}: control characters in the value`);
  }
}

const colonSpace = Buffer.from(': ');
const lineEnd = Buffer.from('\r\n');

