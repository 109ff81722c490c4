import { copyBytes } from '../received-head.ts';
import { encodeHuffman, huffmanLength } from './huffman-encoder.ts';

/** An integer behind the bits `first`, whose prefix is masked by `mask` (RFC 7541 section 5.1). Answers the end. */
export function writeInteger(value: number, first: number, mask: number, out: Uint8Array, from: number): number {
  if (value < mask) {
    out[from] = first | value;
    return from + 1;
  }
  let at = from;
  let rest = value - mask;
  out[at++] = first | mask;
  while (rest > 127) {
    out[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

/** A string in whichever form is shorter (RFC 7541 section 5.2). */
export function writeShortest(bytes: Uint8Array, at: number, end: number, out: Uint8Array, from: number): number {
  const encoded = huffmanLength(bytes, at, end);
  if (encoded >= end - at) return writePlain(bytes, at, end, out, from);
  return encodeHuffman(bytes, at, end, out, writeInteger(encoded, 0x80, 0x7f, out, from));
}

/** A string as it is. */
export function writePlain(bytes: Uint8Array, at: number, end: number, out: Uint8Array, from: number): number {
  const length = end - at;
  const to = writeInteger(length, 0, 0x7f, out, from);
  copyBytes(bytes, at, end, out, to);
  return to + length;
}
