/** CRC-32C (Castagnoli) of `bytes[at, to)`, continued from an earlier part: RFC 3720 appendix B.4. */
export function crc32c(bytes: Uint8Array, at: number, to: number, before = 0): number {
  table ??= makeTable();
  const bytesTable = table;
  let crc = ~before;
  for (let i = at; i < to; i++) crc = (bytesTable[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Made when it is first used: few threads see the PROXY protocol. */
let table: Uint32Array | null = null;

function makeTable(): Uint32Array {
  const made = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let value = i;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    made[i] = value >>> 0;
  }
  return made;
}
