import { createHash, hash } from 'node:crypto';
import type { Candidate } from '@remora/snapshot/candidate';
import { nonceBytes, tagBytes, type DiskKey } from './disk-key.ts';

/**
 * A file of this sidecar: magic, version byte, length, JSON header, named blobs, SHA-256 over everything before it. Anything that was cut or
 * changed anywhere is refused; nothing is ever read half.
 *
 *     8 magic | 1 version | u32 length of all | u32 header length | header | u32 blob count | (u16 name length | name | u32 length | bytes)* | 32 SHA-256
 *
 * With a key (version 3) everything between the length and the checksum is encrypted, and what stands before it authenticated:
 *
 *     8 magic | 1 version | u32 length of all | 12 nonce | encrypted | 16 tag | 32 SHA-256
 */
export interface DiskRecord {
  readonly header: Readonly<Record<string, unknown>>;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

export type ReadRecord =
  | { readonly ok: true; readonly record: DiskRecord }
  | { readonly ok: false; readonly code: 'empty' | 'cut' | 'checksum' | 'newer-version' | 'not-a-snapshot' | 'encrypted' | 'other-key'; readonly message: string };

const magic = Buffer.from('REMORA\r\n', 'latin1');
export const recordVersion = 3;
const plainVersion = 2;
const lengthAt = magic.length + 1;
const headerLengthAt = lengthAt + 4;
const headerAt = headerLengthAt + 4;
export const checksumBytes = 32;
/** Longest record: its length is a u32. A snapshot has at most 256 MiB. */
export const recordBytesMax = 0xffff_ffff;

/** The bytes of a record, and how many there are. */
export interface EncodedRecord {
  readonly length: number;
  /** About `pieceBytes` each, so that 50 MB neither stand in memory twice nor stop the thread; one piece where it is small. */
  readonly pieces: Generator<Buffer, void, void>;
}

/** `key` null: in the open. */
export function encodeRecord(record: DiskRecord, key: DiskKey | null = null): EncodedRecord {
  const plain = encodePlain(record);
  if (key === null) return plain;
  const length = plain.length + nonceBytes + tagBytes;
  if (length > recordBytesMax) throw new Error(`a record has at most ${recordBytesMax} bytes, this one would have ${length}`);
  const pieces = sealedPieces(plain, length, key);
  return { length, pieces: length <= pieceBytes ? inOne(pieces) : pieces };
}

function* sealedPieces(plain: EncodedRecord, length: number, key: DiskKey): Generator<Buffer, void, void> {
  const nonce = key.newNonce();
  const head = Buffer.allocUnsafe(headerLengthAt + nonceBytes);
  magic.copy(head);
  head.writeUInt8(recordVersion, magic.length);
  head.writeUInt32BE(length, lengthAt);
  nonce.copy(head, headerLengthAt);
  const digest = createHash('sha256').update(head);
  yield head;
  for (const piece of key.seal(head, nonce, bodyOf(plain))) {
    digest.update(piece);
    yield piece;
  }
  yield digest.digest();
}

/** Without what stands before the header length, and without the checksum. */
function* bodyOf({ length, pieces }: EncodedRecord): Generator<Buffer, void, void> {
  let at = 0;
  for (const piece of pieces) {
    const from = Math.max(0, headerLengthAt - at);
    const to = Math.min(piece.length, length - checksumBytes - at);
    at += piece.length;
    if (to > from) yield piece.subarray(from, to);
  }
}

function* inOne(pieces: Iterable<Buffer>): Generator<Buffer, void, void> {
  yield Buffer.concat([...pieces]);
}

function encodePlain(record: DiskRecord): EncodedRecord {
  const header = Buffer.from(JSON.stringify(record.header));
  let length = headerAt + header.length + 4 + checksumBytes;
  for (const [name, bytes] of record.blobs) length += 2 + Buffer.byteLength(name) + 4 + bytes.length;
  if (length > recordBytesMax) throw new Error(`a record has at most ${recordBytesMax} bytes, this one would have ${length}`);
  return { length, pieces: length <= pieceBytes ? onePiece(record, header, length) : manyPieces(record, header, length) };
}

function* onePiece(record: DiskRecord, header: Buffer, length: number): Generator<Buffer, void, void> {
  const whole = Buffer.allocUnsafe(length);
  let at = writeHead(whole, record, header, length);
  for (const [name, bytes] of record.blobs) {
    at = writeBlobHead(whole, at, name, bytes.length);
    whole.set(bytes, at);
    at += bytes.length;
  }
  whole.set(hash('sha256', whole.subarray(0, at), 'buffer'), at);
  yield whole;
}

function* manyPieces(record: DiskRecord, header: Buffer, length: number): Generator<Buffer, void, void> {
  const digest = createHash('sha256');
  let piece = Buffer.allocUnsafe(Math.max(pieceBytes, headerAt + header.length + 4));
  let at = writeHead(piece, record, header, length);
  for (const [name, bytes] of record.blobs) {
    const size = 2 + Buffer.byteLength(name) + 4 + bytes.length;
    if (at + size > piece.length) {
      digest.update(piece.subarray(0, at));
      yield piece.subarray(0, at);
      piece = Buffer.allocUnsafe(Math.max(pieceBytes, size));
      at = 0;
    }
    at = writeBlobHead(piece, at, name, bytes.length);
    piece.set(bytes, at);
    at += bytes.length;
  }
  digest.update(piece.subarray(0, at));
  yield piece.subarray(0, at);
  yield digest.digest();
}

function writeHead(to: Buffer, record: DiskRecord, header: Buffer, length: number): number {
  magic.copy(to);
  to.writeUInt8(plainVersion, magic.length);
  to.writeUInt32BE(length, lengthAt);
  to.writeUInt32BE(header.length, headerLengthAt);
  header.copy(to, headerAt);
  return to.writeUInt32BE(record.blobs.size, headerAt + header.length);
}

function writeBlobHead(to: Buffer, at: number, name: string, length: number): number {
  const nameBytes = to.write(name, at + 2);
  to.writeUInt16BE(nameBytes, at);
  return to.writeUInt32BE(length, at + 2 + nameBytes);
}

/** How many bytes the record at the start of `bytes` has, as it says itself; 0 where that cannot be read. */
export function recordLength(bytes: Buffer): number {
  return bytes.length < headerAt || !bytes.subarray(0, magic.length).equals(magic) ? 0 : bytes.readUInt32BE(lengthAt);
}

/** Whether the bytes are a record in the open: what a key that is given is for. */
export function isInTheOpen(bytes: Buffer): boolean {
  return bytes.length > magic.length && bytes.subarray(0, magic.length).equals(magic) && bytes.readUInt8(magic.length) <= plainVersion;
}

/** Total: any bytes give a record or a reason. Records in the open are read with a key too: they are from before there was one. */
export function readRecord(bytes: Uint8Array, key: DiskKey | null = null): ReadRecord {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length === 0) return wrong('empty', 'the file is empty');
  if (!magic.subarray(0, Math.min(view.length, magic.length)).equals(view.subarray(0, magic.length))) {
    return wrong('not-a-snapshot', 'the file does not begin like one of ours');
  }
  if (view.length < headerAt + 4 + checksumBytes) return wrong('cut', `the file has only ${view.length} bytes`);
  const version = view.readUInt8(magic.length);
  if (version > recordVersion) return wrong('newer-version', `the file has version ${version}, this build reads up to ${recordVersion}`);
  const bodyEnd = view.length - checksumBytes;
  const sum = hash('sha256', view.subarray(0, bodyEnd), 'buffer');
  if (!sum.equals(view.subarray(bodyEnd))) return wrong('checksum', 'the checksum does not fit: the file was cut or changed');
  if (view.readUInt32BE(lengthAt) !== view.length) return wrong('not-a-snapshot', 'the checksum fits and the content does not');
  if (version === recordVersion && key === null) return wrong('encrypted', 'the file is encrypted, and no key is given (--snapshot-key-file, REMORA_SNAPSHOT_KEY)');
  const plain = version === recordVersion && key ? openBody(view.subarray(0, bodyEnd), key) : view.subarray(0, bodyEnd);
  if (plain === null) return wrong('other-key', 'the file is encrypted with another key than the one that is given');
  const record = version >= plainVersion ? parseBody(plain) : null;
  return record ? { ok: true, record } : wrong('not-a-snapshot', 'the checksum fits and the content does not');
}

/** As if it had been in the open. */
function openBody(view: Buffer, key: DiskKey): Buffer | null {
  const from = headerLengthAt + nonceBytes;
  const head = view.subarray(0, from);
  const body = view.length < from ? null : key.open(head, head.subarray(headerLengthAt), view.subarray(from));
  return body && Buffer.concat([view.subarray(0, headerLengthAt), body]);
}

function parseBody(view: Buffer): DiskRecord | null {
  try {
    const headerEnd = headerAt + view.readUInt32BE(headerLengthAt);
    const header: unknown = JSON.parse(view.toString('utf8', headerAt, headerEnd));
    const count = view.readUInt32BE(headerEnd);
    let at = headerEnd + 4;
    const blobs = new Map<string, Uint8Array>();
    for (let i = 0; i < count; i++) {
      const nameEnd = at + 2 + view.readUInt16BE(at);
      const name = view.toString('utf8', at + 2, nameEnd);
      const end = nameEnd + 4 + view.readUInt32BE(nameEnd);
      if (end > view.length) return null;
      blobs.set(name, view.subarray(nameEnd + 4, end));
      at = end;
    }
    if (at !== view.length || typeof header !== 'object' || header === null) return null;
    return { header: header as Record<string, unknown>, blobs };
  } catch {
    return null;
  }
}

const manifestName = 'manifest';

/** `serial` grows with each snapshot that is written: of two that are good, the higher one is the newer. */
export function candidateToRecord(candidate: Candidate, serial: number): DiskRecord {
  const { subject, version, hash, manifest, resources } = candidate;
  const blobs = new Map<string, Uint8Array>([[manifestName, manifest]]);
  for (const [name, bytes] of resources) blobs.set(name, bytes);
  return { header: { type: 'snapshot', serial, subject: { kind: subject.kind, name: subject.name }, version, hash }, blobs };
}

/** null: the record is no snapshot. Content is verified when it is decoded. */
export function recordToCandidate({ header, blobs }: DiskRecord): { readonly candidate: Candidate; readonly serial: number } | null {
  const { type, serial, subject, version, hash } = header as Partial<{ type: string; serial: number; subject: Candidate['subject']; version: Candidate['version']; hash: string }>;
  const manifest = blobs.get(manifestName);
  if (type !== 'snapshot' || !manifest || typeof hash !== 'string' || !isSubject(subject) || !isVersion(version)) return null;
  if (serial === undefined || !Number.isSafeInteger(serial)) return null;
  const resources = new Map(blobs);
  resources.delete(manifestName);
  return { candidate: { subject, version, hash, manifest, resources }, serial };
}

export function isVersion(value: unknown): value is Candidate['version'] {
  const version = value as Partial<Candidate['version']> | null | undefined;
  return Number.isSafeInteger(version?.epoch) && Number.isSafeInteger(version?.index);
}

function isSubject(value: Candidate['subject'] | undefined): value is Candidate['subject'] {
  return (value?.kind === 'service' || value?.kind === 'gateway') && typeof value.name === 'string';
}

function wrong(code: Exclude<ReadRecord, { ok: true }>['code'], message: string): ReadRecord {
  return { ok: false, code, message };
}

/** A resource has at most 256 KiB, so no piece is longer but for a manifest of many pages. */
export const pieceBytes = 1_048_576;
