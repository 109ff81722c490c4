import type { HeadLimits } from '@remora/http/head-scanner';
import { headSizeMax, writeRequestHead, writeResponseHead, writeTrailers, noConnectionLine } from '@remora/http/head-writer';
import type { MessageHead } from '@remora/http/message-head';
import { MessageReader, type ReadMessage } from '@remora/http/message-reader';
import { allocateText } from '@remora/http/byte-text';
import { isForwardable } from '../forwardable.ts';

/** Bytes for the readers of `libs/http`, and where they are cut. */
export interface CodecCase {
  readonly kind: 'request' | 'response';
  readonly bytes: Uint8Array;
  readonly cuts: readonly (readonly number[])[];
  readonly limits: HeadLimits;
}

export interface CodecFinding {
  /** '' where all is well. */
  readonly problem: string;
  /** What would go to the upstream: all that was read, written by our writer. Empty for responses. */
  readonly forwarded: Uint8Array;
}

/**
 * Runs one case: the verdict and everything that is read do not depend on the cuts; what is read can be written; what was written reads
 * the same again.
 */
export function runCodecCase({ kind, bytes, cuts, limits }: CodecCase): CodecFinding {
  const whole = feed(kind, limits, [bytes]);
  const expected = account(whole);
  for (const places of cuts) {
    const pieces = [0, ...places].map((at, i) => bytes.subarray(at, places[i] ?? bytes.length));
    const cut = account(feed(kind, limits, pieces));
    if (cut !== expected) return { problem: `cut at ${places.slice(0, 20).join(' ')}: ${firstDifference(expected, cut)}`, forwarded: nothing };
  }
  const pieces: Buffer[] = [];
  const passed = whole.messages.slice(0, passedCount(whole.messages));
  for (const message of passed) {
    const written = write(kind, message);
    if (written === null) return { problem: 'what was read cannot be written', forwarded: nothing };
    pieces.push(written);
  }
  const forwarded = Buffer.concat(pieces);
  const again = new MessageReader(kind, generous);
  again.feed(forwarded);
  const reread = contents(again.messages);
  const meant = contents(passed);
  if (again.state === 'refused' || reread !== meant) return { problem: `written, it reads as something else: ${again.state} ${firstDifference(meant, reread)}`, forwarded };
  return { problem: '', forwarded: kind === 'request' ? forwarded : nothing };
}

const nothing = new Uint8Array(0);
const generous: HeadLimits = { bytesMax: 1 << 20, fieldsMax: 2000 };

function feed(kind: 'request' | 'response', limits: HeadLimits, pieces: readonly Uint8Array[]): MessageReader {
  const reader = new MessageReader(kind, limits);
  for (const piece of pieces) {
    // Each piece in memory of its own that is overwritten afterwards, as with the one read buffer of a thread: nothing may be kept of it.
    const borrowed = allocateText(piece.length);
    borrowed.set(piece);
    reader.feed(borrowed);
    borrowed.fill(poison);
  }
  return reader;
}

const poison = 0xa5;

function account(reader: MessageReader): string {
  reader.end();
  return JSON.stringify([reader.state, contents(reader.messages)]);
}

function contents(messages: readonly ReadMessage[]): string {
  return JSON.stringify(messages.map(({ head, body, trailers }) => [
    head.method, head.path, head.query, head.hasQuery, head.status, head.protocol, fields(head), trailers === null ? [] : fields(trailers), Buffer.concat(body).toString('latin1'),
  ]));
}

/** How many go on: up to the first that is refused for its path, or asks for something else than HTTP. */
function passedCount(messages: readonly ReadMessage[]): number {
  const last = messages.findIndex(({ head }) => head.protocol !== '' || (head.method !== '' && !isForwardable(head)));
  return last < 0 ? messages.length : last;
}

function fields(head: MessageHead): string[] {
  const list: string[] = [];
  head.forEach((name, value) => {
    // HTTP/1.0 without Host goes on with an empty one.
    if (name !== 'host' || value !== '') list.push(`${name}: ${value}`);
  });
  // The line of an absolute target goes first when it is written.
  return list.sort((a, b) => Number(b.startsWith('host: ')) - Number(a.startsWith('host: ')));
}

function write(kind: 'request' | 'response', { head, body, trailers }: ReadMessage): Buffer | null {
  const out = allocateText(headSizeMax(head));
  const end = kind === 'request' ? writeRequestHead(head, out, 0) : writeResponseHead(head, { bodiless: isBodiless(head.status), chunkedAllowed: true, connectionLine: noConnectionLine }, out, 0);
  if (end < 0) return null;
  const parts: Uint8Array[] = [Buffer.from(out.subarray(0, end))];
  const bytes = Buffer.concat(body);
  if (head.bodyLength >= 0 || (kind === 'response' && isBodiless(head.status))) return Buffer.concat([...parts, bytes]);
  if (bytes.length > 0) parts.push(Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n'));
  parts.push(Buffer.from('0\r\n'));
  if (trailers === null) return Buffer.concat([...parts, Buffer.from('\r\n')]);
  const section = allocateText(headSizeMax(trailers));
  const sectionEnd = writeTrailers(trailers, section, 0);
  return sectionEnd < 0 ? null : Buffer.concat([...parts, section.subarray(0, sectionEnd)]);
}

function isBodiless(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

function firstDifference(a: string, b: string): string {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return `${a.slice(Math.max(0, at - 40), at + 80)} | ${b.slice(Math.max(0, at - 40), at + 80)}`;
}
