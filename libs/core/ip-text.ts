/** Text of an IP address of 4 or 16 bytes from `at`: dotted decimal; IPv6 as RFC 5952 wants it, a mapped IPv4 address as IPv4. */
export function ipText(bytes: Uint8Array, at: number, size: 4 | 16): string {
  if (size === 4) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  if (isMapped(bytes, at)) return ipText(bytes, at + 12, 4);
  const groups: number[] = [];
  for (let i = 0; i < 8; i++) groups.push(((bytes[at + 2 * i] as number) << 8) | (bytes[at + 2 * i + 1] as number));
  const { from, length } = longestZeros(groups);
  if (length < 2) return joined(groups);
  return `${joined(groups.slice(0, from))}::${joined(groups.slice(from + length))}`;
}

function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

/** The first of the longest runs. */
function longestZeros(groups: readonly number[]): { readonly from: number; readonly length: number } {
  let best = { from: 0, length: 0 };
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > best.length) best = { from: i, length };
    i += length;
  }
  return best;
}

function joined(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}
