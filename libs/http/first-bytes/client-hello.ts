import { readServerName, type ServerName } from './server-name.ts';

/** What a client says first, as far as it decides how it is served. */
export interface ClientHello {
  readonly serverName: ServerName;
  /** ALPN names in the client's order (RFC 7301); empty where it names none. */
  readonly protocols: readonly string[];
  /** Offered versions, highest first, without GREASE: 0x0304 is TLS 1.3. */
  readonly versions: readonly number[];
  /** Has a session to resume: a ticket (TLS 1.2) or a pre-shared key (TLS 1.3). */
  readonly resumes: boolean;
  /** The real hello is encrypted (ECH); what is read here is the outer one. */
  readonly encrypted: boolean;
}

/** Parses the body of a ClientHello message, `bytes[at, to)` (RFC 8446 section 4.1.2); a string says what is wrong with it. */
export function parseClientHello(bytes: Uint8Array, at: number, to: number): ClientHello | string {
  const fields = new Fields(bytes, at, to);
  const legacyVersion = fields.u16();
  fields.skip(32);
  if (fields.u8Block() > 32) return 'its session id is too long';
  const ciphers = fields.u16Block();
  if (ciphers < 2 || ciphers % 2 !== 0) return 'its list of cipher suites is not valid';
  if (fields.u8Block() < 1) return 'it names no compression method';
  const hello: Result = { serverName: absent, protocols: none, versions: [legacyVersion], resumes: false, encrypted: false };
  if (fields.failed) return 'it is cut short';
  // Without extensions it is a hello of TLS 1.2 or older.
  if (fields.at === to) return hello;
  if (fields.u16() !== to - fields.at || fields.failed) return 'the length of its extensions is wrong';
  return readExtensions(fields, hello);
}

interface Result {
  serverName: ServerName;
  protocols: readonly string[];
  versions: readonly number[];
  resumes: boolean;
  encrypted: boolean;
}

function readExtensions(fields: Fields, hello: Result): ClientHello | string {
  const { bytes, to } = fields;
  const seen = new Set<number>();
  while (fields.at < to) {
    const type = fields.u16();
    const size = fields.u16Block();
    if (fields.failed) return 'an extension is cut short';
    if (seen.has(type)) return `extension ${type} comes twice`;
    seen.add(type);
    const end = fields.at;
    const start = end - size;
    switch (type) {
      case serverNameExtension:
        hello.serverName = readServerName(bytes, start, end);
        break;
      case protocolsExtension: {
        const protocols = readProtocols(bytes, start, end);
        if (protocols === null) return 'its list of protocols is not valid';
        hello.protocols = protocols;
        break;
      }
      case versionsExtension: {
        const versions = readVersions(bytes, start, end);
        if (versions === null) return 'its list of versions is not valid';
        hello.versions = versions;
        break;
      }
      case ticketExtension:
        hello.resumes ||= size > 0;
        break;
      case preSharedKeyExtension:
        hello.resumes = true;
        break;
      case encryptedHelloExtension:
        hello.encrypted = true;
        break;
      default:
    }
  }
  return hello;
}

/** Null: not valid. */
function readProtocols(bytes: Uint8Array, start: number, end: number): readonly string[] | null {
  const fields = new Fields(bytes, start, end);
  if (fields.u16() !== end - fields.at || fields.at === end || fields.failed) return null;
  const protocols: string[] = [];
  while (fields.at < end) {
    const size = fields.u8Block();
    if (size === 0 || fields.failed) return null;
    protocols.push(latin1(bytes, fields.at - size, fields.at));
  }
  return protocols;
}

function readVersions(bytes: Uint8Array, start: number, end: number): readonly number[] | null {
  const fields = new Fields(bytes, start, end);
  const size = fields.u8();
  if (fields.failed || size !== end - fields.at || size < 2 || size % 2 !== 0) return null;
  const versions: number[] = [];
  while (fields.at < end) {
    const version = fields.u16();
    // GREASE values (RFC 8701) stand for nothing.
    if ((version & 0x0f0f) !== 0x0a0a) versions.push(version);
  }
  return versions.sort((a, b) => b - a);
}

/** Reads forward; after the end everything is 0 and `failed` is set. */
class Fields {
  readonly bytes: Uint8Array;
  at: number;
  readonly to: number;
  failed = false;

  constructor(bytes: Uint8Array, at: number, to: number) {
    this.bytes = bytes;
    this.at = at;
    this.to = to;
  }

  u8(): number {
    if (this.at >= this.to) {
      this.failed = true;
      return 0;
    }
    return this.bytes[this.at++] as number;
  }

  u16(): number {
    const high = this.u8();
    return (high << 8) | this.u8();
  }

  skip(size: number): void {
    if (size > this.to - this.at) this.failed = true;
    else this.at += size;
  }

  /** Skips a block behind a length of one byte; answers its size. */
  u8Block(): number {
    const size = this.u8();
    this.skip(size);
    return size;
  }

  u16Block(): number {
    const size = this.u16();
    this.skip(size);
    return size;
  }
}

function latin1(bytes: Uint8Array, at: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(at, to));
}

const absent: ServerName = Object.freeze({ kind: 'absent' });
const none: readonly string[] = Object.freeze([]);
const serverNameExtension = 0;
const protocolsExtension = 16;
const ticketExtension = 35;
const preSharedKeyExtension = 41;
const versionsExtension = 43;
const encryptedHelloExtension = 0xfe0d;
