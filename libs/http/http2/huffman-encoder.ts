import { codeLengths, codes } from './huffman-code.ts';

/** Bytes that `bytes[at, end)` takes in Huffman code (RFC 7541 section 5.2). */
export function huffmanLength(bytes: Uint8Array, at: number, end: number): number {
  let bits = 0;
  for (let i = at; i < end; i++) bits += codeLengths[bytes[i] as number] as number;
  return (bits + 7) >> 3;
}

/** Answers the end of the output. The caller knows from `huffmanLength` that there is room. */
export function encodeHuffman(bytes: Uint8Array, at: number, end: number, out: Uint8Array, outAt: number): number {
  let to = outAt;
  // At most 7 bits are left before a code of at most 30: the sum overflows 32 bits, so long codes go in two parts.
  let pending = 0;
  let count = 0;
  for (let i = at; i < end; i++) {
    const symbol = bytes[i] as number;
    let code = codes[symbol] as number;
    let length = codeLengths[symbol] as number;
    if (length > 24) {
      const high = length - 24;
      pending = (pending << high) | (code >>> 24);
      count += high;
      code &= 0xff_ffff;
      length = 24;
      while (count >= 8) out[to++] = pending >>> (count -= 8);
    }
    pending = (pending << length) | code;
    count += length;
    while (count >= 8) out[to++] = pending >>> (count -= 8);
  }
  if (count > 0) out[to++] = (pending << (8 - count)) | (0xff >> count);
  return to;
}
