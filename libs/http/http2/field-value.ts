import { valueByte } from '../head-scanner.ts';

/** No control characters, no white space around it (RFC 9113 section 8.2.1; control characters as in HTTP/1.1). */
export function validFieldValue(bytes: Uint8Array, at: number, end: number): boolean {
  if (at === end) return true;
  if (blank(bytes[at] as number) || blank(bytes[end - 1] as number)) return false;
  for (let i = at; i < end; i++) if (valueByte[bytes[i] as number] !== 1) return false;
  return true;
}

function blank(byte: number): boolean {
  return byte === 32 || byte === 9;
}
