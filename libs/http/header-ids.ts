import type { Field, HeaderId } from './head.ts';

/**
 * Header names as small integers. The names below have fixed ids; names that configuration mentions get one when a
 * snapshot is built, so that parsers recognise them. The table only grows by configuration, never by traffic.
 */
const fixedNames = [
  '', 'host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'keep-alive',
  'proxy-connection', 'via', 'forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port',
  'x-request-id', 'traceparent', 'tracestate', 'x-remora-reason', 'x-remora-origin', 'x-remora-deadline', 'x-remora-attempt',
  'x-remora-hop', 'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'content-type', 'content-encoding',
  'accept', 'accept-encoding', 'origin', 'access-control-request-method', 'access-control-request-headers',
  'access-control-request-private-network', 'access-control-allow-origin', 'access-control-allow-credentials',
  'access-control-allow-methods', 'access-control-allow-headers', 'access-control-expose-headers', 'access-control-max-age',
  'access-control-allow-private-network', 'vary', 'retry-after', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset',
  'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'ratelimit', 'ratelimit-policy', 'location', 'date',
  'server', 'x-powered-by', 'strict-transport-security', 'content-security-policy', 'x-frame-options', 'x-content-type-options',
  'referrer-policy', 'permissions-policy', 'cross-origin-opener-policy', 'cross-origin-embedder-policy',
  'cross-origin-resource-policy', 'user-agent', 'referer', 'grpc-timeout', 'grpc-status', 'grpc-message', 'idempotency-key',
  'etag', 'cache-control', 'age', 'if-none-match', 'if-match', 'allow', 'x-forwarded-client-cert', 'accept-language',
  'sec-websocket-key', 'sec-websocket-accept', 'x-remora-retry', 'x-remora-mirror', 'x-remora-fallback',
] as const;

const idsByName = new Map<string, HeaderId>(fixedNames.map((name, id) => [name, id]));
const namesById: string[] = [...fixedNames];
const nameBytesById: Uint8Array[] = [];
const prefixesById: Uint8Array[] = [];

/** At most this many names; beyond it a snapshot is refused. */
export const headerNamesMax = 4096;

/** Ids below this are the fixed names, known at compile time. */
export const fixedHeaderCount = fixedNames.length;

/** Open addressing over twice as many slots as names; 0 is empty, since id 0 is no name. */
const slotMask = headerNamesMax * 2 - 1;
const slots = new Uint16Array(slotMask + 1);

/** Lower case of every byte that a header name may have (RFC 9110 section 5.6.2), 0 for all others. */
export const tokenLower = makeTokenTable();

/** Changes when a name is added: rows looked up before are then stale. */
let version = 0;
export function headerTableVersion(): number {
  return version;
}

/** One step of the hash under which `lookUpHeaderBytes` finds a name. `lower` is from `tokenLower`. Starts from 0. */
export function hashHeaderByte(hash: number, lower: number): number {
  return (Math.imul(hash, 31) + lower) | 0;
}

/** Id of the name in `bytes[start, end)`, in any case; 0 where no configuration mentions it. No strings are made. */
export function lookUpHeaderBytes(bytes: Uint8Array, start: number, end: number, hash: number): HeaderId {
  let slot = (hash ^ (hash >>> 15)) & slotMask;
  for (;;) {
    const id = slots[slot] as number;
    if (id === 0) return 0;
    const name = nameBytesById[id] as Uint8Array;
    if (name.length === end - start && sameName(name, bytes, start)) return id;
    slot = (slot + 1) & slotMask;
  }
}

function sameName(name: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < name.length; i++) {
    if (tokenLower[bytes[start + i] as number] !== name[i]) return false;
  }
  return true;
}

function makeTokenTable(): Uint8Array {
  const table = new Uint8Array(256);
  for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") table[char.charCodeAt(0)] = char.charCodeAt(0);
  for (let c = 0x41; c <= 0x5a; c++) table[c] = c + 0x20;
  return table;
}

function addToTable(id: HeaderId, name: string): void {
  const bytes = new TextEncoder().encode(name);
  nameBytesById[id] = bytes;
  prefixesById[id] = new TextEncoder().encode(`${name}: `);
  let hash = 0;
  for (const byte of bytes) hash = hashHeaderByte(hash, byte);
  let slot = (hash ^ (hash >>> 15)) & slotMask;
  while (slots[slot] !== 0) slot = (slot + 1) & slotMask;
  slots[slot] = id;
}

for (let id = 1; id < fixedNames.length; id++) addToTable(id, fixedNames[id] as string);

/** Id of a fixed name; asking for another is a programming error. */
export function headerId(name: (typeof fixedNames)[number]): HeaderId {
  return idsByName.get(name) as HeaderId;
}

/**
 * Id of any valid header name, made where there is none yet. Only for names from configuration, when a snapshot is built.
 * Answers 0 where the table is full.
 */
export function internHeaderName(name: string): HeaderId {
  const lower = name.toLowerCase();
  const known = idsByName.get(lower);
  if (known !== undefined) return known;
  if (namesById.length >= headerNamesMax) return 0;
  const id = namesById.length;
  namesById.push(lower);
  idsByName.set(lower, id);
  addToTable(id, lower);
  version++;
  return id;
}

/** Id of a name (lower case) met in traffic; 0 where no configuration mentions it. */
export function lookUpHeaderId(lowerName: string): HeaderId {
  return idsByName.get(lowerName) ?? 0;
}

/** `name: ` as bytes. */
export function headerPrefix(id: HeaderId): Uint8Array {
  return prefixesById[id] as Uint8Array;
}

export function headerName(id: HeaderId): string {
  return namesById[id] ?? '';
}

const encoder = new TextEncoder();

/** Prepares a field for `Head.put`. Throws where name or value could break framing: validate configuration before. */
export function makeField(name: string, value: string): Field {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) throw new RangeError(`not a header name: ${JSON.stringify(name)}`);
  if (/[\0\r\n]/.test(value)) throw new RangeError(`header ${name}: control characters in the value`);
  const lower = name.toLowerCase();
  const id = internHeaderName(lower);
  return Object.freeze({ id, name: lower, value, line: encoder.encode(`${lower}: ${value}\r\n`) });
}
