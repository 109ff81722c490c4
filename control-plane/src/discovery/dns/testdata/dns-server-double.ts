import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { decodeMessage, dnsTypes, encodeName, type DnsRecord } from '../dns-message.ts';

/** What a small DNS server of tests answers with. */
export interface Zone {
  readonly records: readonly DnsRecord[];
  readonly additional?: readonly DnsRecord[];
  /** 0 fine, 2 server failure, 3 no such name. */
  readonly code?: number;
}

/** A DNS server over UDP and TCP on loopback, for tests: it answers for every name that it has. */
export class DnsServerDouble {
  readonly #zones = new Map<string, Zone>();
  readonly #udp: Socket = createSocket('udp4');
  readonly #tcp: Server;
  readonly questions: string[] = [];
  /** It hears and says nothing. */
  silent = false;
  /** It answers with this code and nothing else. */
  failing = 0;
  /** Answers over UDP are cut off. */
  truncating = false;
  /** Sent before each answer over UDP. */
  forged: ((question: Buffer) => Buffer) | null = null;
  port = 0;

  constructor() {
    this.#udp.on('message', (bytes, from) => {
      if (this.forged) this.#udp.send(this.forged(bytes), from.port, from.address);
      const answer = this.#answer(bytes, this.truncating);
      if (answer) this.#udp.send(answer, from.port, from.address);
    });
    this.#tcp = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => {
        const answer = this.#answer(bytes.subarray(2), false);
        if (!answer) return;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        // In two pieces, as a network may bring it.
        socket.write(Buffer.concat([length, answer.subarray(0, 5)]));
        socket.end(answer.subarray(5));
      });
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => void this.#tcp.listen(0, '127.0.0.1', resolve));
    const address = this.#tcp.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    await new Promise<void>((resolve) => void this.#udp.bind(this.port, '127.0.0.1', resolve));
    return this;
  }

  /** `name` in lower case, without a dot at the end. */
  put(name: string, zone: Zone): void {
    this.#zones.set(name, zone);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => void this.#udp.close(() => resolve()));
    await new Promise<void>((resolve) => void this.#tcp.close(() => resolve()));
  }

  #answer(bytes: Buffer, truncated: boolean): Buffer | null {
    const question = decodeMessage(bytes);
    if (question === null) return null;
    this.questions.push(`${question.question.name} ${question.question.type}`);
    if (this.silent) return null;
    const zone = this.#zones.get(question.question.name);
    const code = this.failing || (zone ? (zone.code ?? 0) : 3);
    const wanted = (zone?.records ?? []).filter((one) => dnsTypes[one.type] === question.question.type || one.type === 'CNAME');
    return encodeAnswer(question.id, question.question, { code, truncated, records: code === 0 && !truncated ? wanted : [], additional: zone?.additional ?? [] });
  }
}

interface AnswerParts {
  readonly code: number;
  readonly truncated: boolean;
  readonly records: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
}

export function encodeAnswer(id: number, question: { readonly name: string; readonly type: number }, { code, truncated, records, additional }: AnswerParts): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x8180 | (truncated ? 0x0200 : 0) | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(additional.length, 10);
  return Buffer.concat([head, encodeName(question.name), u16(question.type), u16(1), ...records.map(encodeRecord), ...additional.map(encodeRecord)]);
}

function encodeRecord(record: DnsRecord): Buffer {
  const data = dataOf(record);
  const ttl = Buffer.alloc(4);
  ttl.writeUInt32BE(record.ttlS);
  return Buffer.concat([encodeName(record.name), u16(dnsTypes[record.type]), u16(1), ttl, u16(data.length), data]);
}

function dataOf(record: DnsRecord): Buffer {
  switch (record.type) {
    case 'A':
      return Buffer.from(record.address.split('.').map(Number));
    case 'AAAA':
      return Buffer.concat(expand(record.address).map((group) => u16(Number.parseInt(group, 16))));
    case 'CNAME':
      return encodeName(record.target);
    case 'SRV':
      return Buffer.concat([u16(record.priority), u16(record.weight), u16(record.port), encodeName(record.target)]);
  }
}

function expand(address: string): string[] {
  const [left = '', right] = address.split('::');
  const [before, after] = [left.split(':').filter((group) => group !== ''), (right ?? '').split(':').filter((group) => group !== '')];
  return [...before, ...Array.from({ length: right === undefined ? 0 : 8 - before.length - after.length }, () => '0'), ...after];
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
