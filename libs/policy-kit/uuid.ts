import type { Random } from '@remora/core/random';
import { allocateText } from '@remora/http/byte-text';

/** UUID version 4 (RFC 9562 section 5.4) from an injected source. For identification, not for secrets. */
export function formatUuid4(random: Random): string {
  return writeUuid(word(random), ((word(random) & 0xffff0fff) | 0x4000) >>> 0, random);
}

/** UUID version 7 (RFC 9562 section 5.7): sorts by time, in milliseconds. */
export function formatUuid7(wallMs: number, random: Random): string {
  const ms = Math.max(0, Math.floor(wallMs));
  const low = (ms % 65536) * 65536;
  return writeUuid(Math.floor(ms / 65536) >>> 0, (low + ((word(random) & 0x0fff) | 0x7000)) >>> 0, random);
}

/** A new `traceparent` (W3C Trace Context, section 3.2): trace and parent ids from the source, never all zero. */
export function formatTraceParent(random: Random, sampled: boolean): string {
  const trace = word(random);
  const parent = word(random);
  traceText[0] = 0x30;
  traceText[1] = 0x30;
  traceText[2] = dash;
  writeHex(traceText, 3, trace);
  writeHex(traceText, 11, word(random));
  writeHex(traceText, 19, word(random));
  writeHex(traceText, 27, (word(random) | 1) >>> 0);
  traceText[35] = dash;
  writeHex(traceText, 36, parent);
  writeHex(traceText, 44, (word(random) | 1) >>> 0);
  traceText[52] = dash;
  traceText[53] = 0x30;
  traceText[54] = sampled ? 0x31 : 0x30;
  return traceText.latin1Slice(0, 55);
}

/** A new span id (W3C Trace Context, section 3.2.2.4): 16 hexadecimal digits, never all zero. */
export function formatSpanId(random: Random): string {
  writeHex(traceText, 0, word(random));
  writeHex(traceText, 8, (word(random) | 1) >>> 0);
  return traceText.latin1Slice(0, 16);
}

/** Written and read in one go: digits put down one by one are three times as fast as joined strings. */
const uuidText = allocateText(36);
const traceText = allocateText(55);
const dash = 0x2d;
const digits = new Uint8Array(Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0)));

function writeUuid(a: number, b: number, random: Random): string {
  const c = ((word(random) & 0x3fffffff) | 0x80000000) >>> 0;
  writeHex(uuidText, 0, a);
  uuidText[8] = dash;
  writeHalf(uuidText, 9, b >>> 16);
  uuidText[13] = dash;
  writeHalf(uuidText, 14, b & 0xffff);
  uuidText[18] = dash;
  writeHalf(uuidText, 19, c >>> 16);
  uuidText[23] = dash;
  writeHalf(uuidText, 24, c & 0xffff);
  writeHex(uuidText, 28, word(random));
  return uuidText.latin1Slice(0, 36);
}

function word(random: Random): number {
  return (random.next() * 4294967296) >>> 0;
}

function writeHex(text: Uint8Array, at: number, value: number): void {
  writeHalf(text, at, value >>> 16);
  writeHalf(text, at + 4, value & 0xffff);
}

function writeHalf(text: Uint8Array, at: number, value: number): void {
  text[at] = digits[value >>> 12] ?? 0;
  text[at + 1] = digits[(value >>> 8) & 15] ?? 0;
  text[at + 2] = digits[(value >>> 4) & 15] ?? 0;
  text[at + 3] = digits[value & 15] ?? 0;
}
