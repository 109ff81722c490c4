import type { Random } from '@remora/core/random';

/** UUID version 4 (RFC 9562 section 5.4) from an injected source. For identification, not for secrets. */
export function formatUuid4(random: Random): string {
  const a = word(random);
  const b = word(random);
  const c = word(random);
  const d = word(random);
  return `${hex8(a)}-${hex4(b >>> 16)}-${hex4((b & 0x0fff) | 0x4000)}-${hex4(((c >>> 16) & 0x3fff) | 0x8000)}-${hex4(c & 0xffff)}${hex8(d)}`;
}

/** UUID version 7 (RFC 9562 section 5.7): sorts by time, in milliseconds. */
export function formatUuid7(wallMs: number, random: Random): string {
  const ms = Math.max(0, Math.floor(wallMs));
  const b = word(random);
  const c = word(random);
  const d = word(random);
  return `${hex8(Math.floor(ms / 65536) >>> 0)}-${hex4(ms % 65536)}-${hex4((b & 0x0fff) | 0x7000)}-${hex4(((c >>> 16) & 0x3fff) | 0x8000)}-${hex4(c & 0xffff)}${hex8(d)}`;
}

/** Eight lower-case hexadecimal digits per word; never all zero. */
export function randomHex(random: Random, words: number): string {
  let text = '';
  let any = 0;
  for (let i = 0; i < words; i++) {
    const value = i === words - 1 && any === 0 ? word(random) | 1 : word(random);
    any |= value;
    text += hex8(value >>> 0);
  }
  return text;
}

const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function word(random: Random): number {
  return (random.next() * 4294967296) >>> 0;
}

function hex8(value: number): string {
  return hex4(value >>> 16) + hex4(value & 0xffff);
}

function hex4(value: number): string {
  return (hex[value >>> 8] ?? '') + (hex[value & 0xff] ?? '');
}
