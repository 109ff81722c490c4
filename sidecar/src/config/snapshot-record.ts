import { createHash } from 'node:crypto';
import type { Candidate } from '@remora/snapshot/candidate';

/**
 * A file of this sidecar: magic, version byte, JSON header, named blobs, SHA-256 over everything before it. Anything that
 * was cut or changed anywhere is refused; nothing is ever read half.
 *
 *     8 magic | 1 version | u32 header length | header | u32 blob count | (u16 name length | name | u32 length | bytes)* | 32 SHA-256
 */
export interface DiskRecord {
  readonly header: Readonly<Record<string, unknown>>;
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

export type ReadRecord =
  | { readonly ok: true; readonly record: DiskRecord }
  | { readonly ok: false; readonly code: 'empty' | 'cut' | 'checksum' | 'newer-version' | 'not-a-snapshot'; readonly message: string };

const magic = Buffer.from('REMORA\r\n', 'latin1');
export const recordVersion = 1;
const checksumBytes = 32;
const headEnd = magic.length + 1 + 4;

/** The bytes of a record piece by piece, so that 50 MB never stand in memory twice nor stop the thread. */
export function* encodeRecord(record: DiskRecord): Generator<Uint8Array, void, void> {
  const digest = createHash('sha256');
  const hashed = (piece: Uint8Array): Uint8Array => {
    digest.update(piece);
    return piece;
  };
  const header = Buffer.from(JSON.stringify(record.header));
  const head = Buffer.alloc(headEnd);
  magic.copy(head);
  head.writeUInt8(recordVersion, magic.length);
  head.writeUInt32BE(header.length, magic.length + 1);
  yield hashed(Buffer.concat([head, header, u32(record.blobs.size)]));
  for (const [name, bytes] of record.blobs) {
    const nameBytes = Buffer.from(name);
    const prefix = Buffer.alloc(2);
    prefix.writeUInt16BE(nameBytes.length);
    yield hashed(Buffer.concat([prefix, nameBytes, u32(bytes.length)]));
    yield hashed(bytes);
  }
  yield digest.digest();
}

/** Total: any bytes give a record or a reason. */
export function readRecord(bytes: Uint8Array): ReadRecord {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length === 0) return wrong('empty', 'the file is empty');
  if (!magic.subarray(0, Math.min(view.length, magic.length)).equals(view.subarray(0, magic.length))) {
    return wrong('not-a-snapshot', 'the file does not begin like one of ours');
  }
  if (view.length < headEnd + 4 + checksumBytes) return wrong('cut', `the file has only ${view.length} bytes`);
  const version = view.readUInt8(magic.length);
  if (version > recordVersion) return wrong('newer-version', `the file has version ${version}, this build reads up to ${recordVersion}`);
  const bodyEnd = view.length - checksumBytes;
  const sum = createHash('sha256').update(view.subarray(0, bodyEnd)).digest();
  if (!sum.equals(view.subarray(bodyEnd))) return wrong('checksum', 'the checksum does not fit: the file was cut or changed');
  const record = parseBody(view.subarray(0, bodyEnd));
  return record ? { ok: true, record } : wrong('not-a-snapshot', 'the checksum fits and the content does not');
}

function parseBody(view: Buffer): DiskRecord | null {
  try {
    let at = magic.length + 1;
    const headerLength = view.readUInt32BE(at);
    at += 4;
    const header: unknown = JSON.parse(view.toString('utf8', at, at + headerLength));
    at += headerLength;
    const count = view.readUInt32BE(at);
    at += 4;
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

export function candidateToRecord(candidate: Candidate): DiskRecord {
  const { subject, version, hash, manifest, resources } = candidate;
  const blobs = new Map<string, Uint8Array>([[manifestName, manifest]]);
  for (const [name, bytes] of resources) blobs.set(name, bytes);
  return { header: { type: 'snapshot', subject: { kind: subject.kind, name: subject.name }, version, hash }, blobs };
}

/** null: the record is no snapshot. Content is verified when it is decoded. */
export function recordToCandidate({ header, blobs }: DiskRecord): Candidate | null {
  const { type, subject, version, hash } = header as Partial<{ type: string; subject: Candidate['subject']; version: Candidate['version']; hash: string }>;
  const manifest = blobs.get(manifestName);
  if (type !== 'snapshot' || !manifest || typeof hash !== 'string' || !isSubject(subject) || !isVersion(version)) return null;
  const resources = new Map(blobs);
  resources.delete(manifestName);
  return { subject, version, hash, manifest, resources };
}

export function isVersion(value: unknown): value is Candidate['version'] {
  const version = value as Partial<Candidate['version']> | null | undefined;
  return Number.isSafeInteger(version?.epoch) && Number.isSafeInteger(version?.index);
}

function isSubject(value: Candidate['subject'] | undefined): value is Candidate['subject'] {
  return (value?.kind === 'service' || value?.kind === 'gateway') && typeof value.name === 'string';
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function wrong(code: Exclude<ReadRecord, { ok: true }>['code'], message: string): ReadRecord {
  return { ok: false, code, message };
}
