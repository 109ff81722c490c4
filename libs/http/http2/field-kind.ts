import { lastFramingId } from '../head-scanner.ts';
import { hashHeaderByte, headerId, lookUpHeaderBytes, tokenLower } from '../header-ids.ts';

/** What a field's name means to HTTP/2, whatever its value. */
export const fieldKind = {
  regular: 0,
  cookie: 1,
  host: 2,
  contentLength: 3,
  te: 4,
  expect: 5,
  /** Of the connection, as HTTP/1.1 had it: makes a message malformed (RFC 9113 section 8.2.2). */
  connection: 6,
  /** Not a lower-case token, or empty (RFC 9113 section 8.2.1). */
  badName: 7,
  /** Starts with a colon. Everything from here on is a pseudo-header field (RFC 9113 section 8.3). */
  unknownPseudo: 8,
  method: 9,
  path: 10,
  scheme: 11,
  authority: 12,
  status: 13,
  protocol: 14,
} as const;

/** Hash of a name for `lookUpHeaderBytes`; -1 where it is not a lower-case token. */
function hashName(bytes: Uint8Array, at: number, end: number): number {
  let hash = 0;
  for (let i = at; i < end; i++) {
    const byte = bytes[i] as number;
    if (tokenLower[byte] !== byte || byte === 0) return badHash;
    hash = hashHeaderByte(hash, byte);
  }
  return at === end ? badHash : hash;
}

/** No name hashes to it: hashes are 32-bit integers. */
const badHash = 2 ** 33;

/** Id and kind of a name as one number, `id * 16 + kind`. */
export function classifyName(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] === COLON && end > at) return pseudoKind(bytes, at, end);
  const hash = hashName(bytes, at, end);
  if (hash === badHash) return fieldKind.badName;
  const id = lookUpHeaderBytes(bytes, at, end, hash);
  return id * 16 + (id <= cookieId ? (kindsById[id] as number) : fieldKind.regular);
}

function pseudoKind(bytes: Uint8Array, at: number, end: number): number {
  for (const { name, kind } of pseudoNames) {
    if (name.length === end - at && sameBytes(name, bytes, at)) return kind;
  }
  return fieldKind.unknownPseudo;
}

export function sameBytes(known: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[at + i]) return false;
  return true;
}

const COLON = 58;
const cookieId = headerId('cookie');
const pseudoNames: readonly { readonly name: Uint8Array; readonly kind: number }[] = [
  { name: Buffer.from(':path'), kind: fieldKind.path },
  { name: Buffer.from(':method'), kind: fieldKind.method },
  { name: Buffer.from(':scheme'), kind: fieldKind.scheme },
  { name: Buffer.from(':authority'), kind: fieldKind.authority },
  { name: Buffer.from(':status'), kind: fieldKind.status },
  { name: Buffer.from(':protocol'), kind: fieldKind.protocol },
];
/** For ids up to that of `cookie`, the last fixed name that is not regular. */
const kindsById = makeKinds();

function makeKinds(): Uint8Array {
  const kinds = new Uint8Array(cookieId + 1);
  kinds[headerId('host')] = fieldKind.host;
  kinds[headerId('content-length')] = fieldKind.contentLength;
  kinds[headerId('te')] = fieldKind.te;
  kinds[headerId('expect')] = fieldKind.expect;
  kinds[cookieId] = fieldKind.cookie;
  for (const name of ['connection', 'transfer-encoding', 'upgrade', 'keep-alive', 'proxy-connection'] as const) kinds[headerId(name)] = fieldKind.connection;
  if (lastFramingId >= cookieId) throw new Error('header ids are out of order');
  return kinds;
}
