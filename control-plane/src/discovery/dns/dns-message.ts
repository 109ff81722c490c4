import { ipText } from '@remora/core/ip-text';

/** The records that are asked for. */
export type DnsType = 'A' | 'AAAA' | 'SRV';

export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly name: string; readonly ttlS: number; readonly address: string }
  | { readonly type: 'CNAME'; readonly name: string; readonly ttlS: number; readonly target: string }
  | { readonly type: 'SRV'; readonly name: string; readonly ttlS: number; readonly priority: number; readonly weight: number; readonly port: number; readonly target: string };

export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  /** Cut off: to be asked again over TCP. */
  readonly truncated: boolean;
  /** RFC 1035 section 4.1.1: 0 fine, 2 server failure, 3 no such name, 5 refused. */
  readonly code: number;
  readonly question: { readonly name: string; readonly type: number };
  /** Answers, then additional records; of types that are not read nothing is there. */
  readonly answers: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
  /** How long "there is none" holds, seconds (RFC 2308 section 5); null where it does not say. */
  readonly negativeTtlS: number | null;
}

export const dnsTypes = { A: 1, CNAME: 5, SOA: 6, AAAA: 28, SRV: 33 } as const;
/** Bytes of a UDP answer that reach everybody without being divided. */
const payloadBytes = 1_232;
const recordsMax = 4_096;
const internet = 1;

/** A question with recursion desired and EDNS(0) (RFC 6891). Throws RangeError for a name that DNS cannot carry. */
export function encodeQuestion(id: number, name: string, type: DnsType): Buffer {
  const labels = encodeName(name);
  const message = Buffer.alloc(12 + labels.length + 4 + 11);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(0x0100, 2);
  message.writeUInt16BE(1, 4);
  message.writeUInt16BE(1, 10);
  labels.copy(message, 12);
  let at = 12 + labels.length;
  message.writeUInt16BE(dnsTypes[type], at);
  message.writeUInt16BE(internet, at + 2);
  at += 4;
  message.writeUInt16BE(41, at + 1);
  message.writeUInt16BE(payloadBytes, at + 3);
  return message;
}

/** Labels of 1 to 63 bytes, 255 in all (RFC 1035 section 2.3.4). */
export function encodeName(name: string): Buffer {
  const parts = name === '.' ? [] : name.replace(/\.$/, '').split('.').map((label) => Buffer.from(label, 'latin1'));
  if (parts.some((part) => part.length === 0 || part.length > 63)) throw new RangeError(`${name} is no DNS name`);
  const bytes = Buffer.concat([...parts.flatMap((part) => [Buffer.of(part.length), part]), Buffer.of(0)]);
  if (bytes.length > 255) throw new RangeError(`${name} is longer than a DNS name may be`);
  return bytes;
}

/** Null where the bytes are no DNS message. Whatever they are, it ends, and takes no more memory than they do. */
export function decodeMessage(bytes: Buffer): DnsMessage | null {
  try {
    return new Reader(bytes).message();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  #records = 0;
  #negativeTtlS: number | null = null;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  message(): DnsMessage {
    const id = this.#u16();
    const flags = this.#u16();
    const [questions, answers, authorities, additions] = [this.#u16(), this.#u16(), this.#u16(), this.#u16()] as const;
    if (questions !== 1) throw new RangeError('not one question');
    const question = { name: this.#name(), type: this.#u16() };
    this.#u16();
    const answer = this.#section(answers);
    this.#section(authorities);
    const negativeTtlS = this.#negativeTtlS;
    return { id, isResponse: (flags & 0x8000) !== 0, truncated: (flags & 0x0200) !== 0, code: flags & 0xf, question, answers: answer, additional: this.#section(additions), negativeTtlS };
  }

  #section(count: number): DnsRecord[] {
    const records: DnsRecord[] = [];
    for (let i = 0; i < count; i++) {
      if (++this.#records > recordsMax) throw new RangeError('too many records');
      const record = this.#record();
      if (record !== null) records.push(record);
    }
    return records;
  }

  #record(): DnsRecord | null {
    const name = this.#name();
    const type = this.#u16();
    const kind = this.#u16();
    // RFC 2181 section 8: the top bit set means zero.
    const ttl = this.#u32();
    const ttlS = ttl > 0x7fffffff ? 0 : ttl;
    const length = this.#u16();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('a record that is cut off');
    const record = kind === internet ? this.#data(name, type, ttlS, length) : null;
    if (this.#at > end) throw new RangeError('a record longer than it says');
    this.#at = end;
    return record;
  }

  #data(name: string, type: number, ttlS: number, length: number): DnsRecord | null {
    const at = this.#at;
    if (type === dnsTypes.A && length === 4) return { type: 'A', name, ttlS, address: ipText(this.#bytes, at, 4) };
    if (type === dnsTypes.AAAA && length === 16) return { type: 'AAAA', name, ttlS, address: ipText(this.#bytes, at, 16) };
    if (type === dnsTypes.CNAME) return { type: 'CNAME', name, ttlS, target: this.#name() };
    if (type === dnsTypes.SRV) return { type: 'SRV', name, ttlS, priority: this.#u16(), weight: this.#u16(), port: this.#u16(), target: this.#name() };
    if (type === dnsTypes.SOA) {
      this.#name();
      this.#name();
      this.#at += 16;
      this.#negativeTtlS = Math.min(ttlS, this.#u32());
    }
    return null;
  }

  /** With its pointers (RFC 1035 section 4.1.4), each of which goes back: no loop is possible. Lower case. */
  #name(): string {
    const labels: string[] = [];
    let at = this.#at;
    let limit = at;
    let jumped = false;
    let length = 0;
    for (;;) {
      const size = this.#byte(at);
      if ((size & 0xc0) === 0xc0) {
        const target = ((size & 0x3f) << 8) | this.#byte(at + 1);
        if (target >= limit) throw new RangeError('a pointer that does not go back');
        if (!jumped) this.#at = at + 2;
        jumped = true;
        limit = target;
        at = target;
      } else if ((size & 0xc0) !== 0) throw new RangeError('an unknown kind of label');
      else if (size === 0) {
        if (!jumped) this.#at = at + 1;
        return labels.length === 0 ? '.' : labels.join('.').toLowerCase();
      } else {
        length += size + 1;
        if (length > 255 || at + 1 + size > this.#bytes.length) throw new RangeError('a name that is too long');
        labels.push(this.#bytes.toString('latin1', at + 1, at + 1 + size));
        at += size + 1;
      }
    }
  }

  #byte(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw new RangeError('the message is cut off');
    return byte;
  }

  #u16(): number {
    const value = this.#bytes.readUInt16BE(this.#at);
    this.#at += 2;
    return value;
  }

  #u32(): number {
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }
}
