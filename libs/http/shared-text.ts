import type { TextBuffer } from './byte-text.ts';

/**
 * Strings for what hardly varies: methods and host names. Keep-alive clients repeat theirs with each request, so a small cache,
 * compared byte by byte, saves the string. Never used for anything secret. Bounded: `slotCount` texts of `textMax` bytes.
 */
export function sharedText(bytes: TextBuffer, at: number, end: number): string {
  const length = end - at;
  if (length > textMax) return bytes.latin1Slice(at, end).toLowerCase();
  let hash = length;
  for (let i = at; i < end; i++) hash = (Math.imul(hash, 31) + lower(bytes[i] as number)) | 0;
  const slot = (hash ^ (hash >>> 7)) & (slotCount - 1);
  const known = texts[slot] as string;
  if (known.length === length && sameLower(known, bytes, at)) return known;
  const text = bytes.latin1Slice(at, end).toLowerCase();
  texts[slot] = text;
  return text;
}

/** The method as a string, case kept. */
export function methodText(bytes: TextBuffer, at: number, end: number): string {
  switch (end - at) {
    case 3:
      if (isText(bytes, at, 'GET')) return 'GET';
      if (isText(bytes, at, 'PUT')) return 'PUT';
      break;
    case 4:
      if (isText(bytes, at, 'POST')) return 'POST';
      if (isText(bytes, at, 'HEAD')) return 'HEAD';
      break;
    case 5:
      if (isText(bytes, at, 'PATCH')) return 'PATCH';
      break;
    case 6:
      if (isText(bytes, at, 'DELETE')) return 'DELETE';
      break;
    case 7:
      if (isText(bytes, at, 'OPTIONS')) return 'OPTIONS';
      break;
    default:
  }
  return bytes.latin1Slice(at, end);
}

function isText(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function sameLower(text: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== lower(bytes[at + i] as number)) return false;
  return true;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

const textMax = 64;
const slotCount = 256;
const texts: string[] = Array.from({ length: slotCount }, () => '');
