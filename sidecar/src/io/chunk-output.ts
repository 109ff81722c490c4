import { headSizeMax, writeTrailers } from '@remora/http/head-writer';
import type { MessageHead } from '@remora/http/message-head';
import type { Link } from './link.ts';

/** One chunk for the bytes in hand (RFC 9112 section 7.1), and the last one where it is the end. */
export function sendChunk(link: Link, bytes: Uint8Array, at: number, to: number, end: boolean): void {
  const length = to - at;
  const out = link.reserve(length + chunkFramingMax);
  let position = link.outAt;
  if (length > 0) {
    position = writeHex(length, out, position);
    out[position++] = 13;
    out[position++] = 10;
    out.set(at === 0 && to === bytes.length ? bytes : bytes.subarray(at, to), position);
    position += length;
    out[position++] = 13;
    out[position++] = 10;
  }
  if (end) {
    out.set(lastChunk, position);
    position += lastChunk.length;
  }
  link.wrote(position);
  if (position > chunkFlushAt) link.flush();
}

/** The last chunk, with trailers; without them where they cannot be written. */
export function sendLastChunk(link: Link, trailers: MessageHead): void {
  const out = link.reserve(headSizeMax(trailers) + 3);
  const from = link.outAt;
  out[from] = 48;
  out[from + 1] = 13;
  out[from + 2] = 10;
  const at = writeTrailers(trailers, out, from + 3);
  if (at >= 0) {
    link.wrote(at);
    return;
  }
  out.set(lastChunk, from);
  link.wrote(from + lastChunk.length);
}

function writeHex(value: number, out: Uint8Array, from: number): number {
  let digits = 1;
  for (let rest = value; rest >= 16; rest = Math.floor(rest / 16)) digits++;
  let rest = value;
  for (let at = from + digits - 1; at >= from; at--) {
    out[at] = hexDigits[rest % 16] as number;
    rest = Math.floor(rest / 16);
  }
  return from + digits;
}

const hexDigits = Buffer.from('0123456789abcdef');
const lastChunk = Buffer.from('0\r\n\r\n');
const chunkFramingMax = 32;
const chunkFlushAt = 16 * 1024;
