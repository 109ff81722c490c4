/**
 * MurmurHash3 (x86, 32 bit) of a text's UTF-16 code units, two in each block: the same in every process and release, which all callers of a service need
 * to agree on. Not for secrets.
 */
export function hashText(text: string, seed = 0): number {
  let hash = seed;
  const { length } = text;
  let at = 0;
  for (; at + 1 < length; at += 2) hash = Math.imul(rotate(hash ^ scramble(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16)), 13), 5) + 0xe6546b64 | 0;
  if (at < length) hash ^= scramble(text.charCodeAt(at));
  return mix(hash ^ (length * 2));
}

/** Another hash from one, and a number. */
export function hashNumber(hash: number, number: number): number {
  return mix(Math.imul(rotate(hash ^ scramble(number), 13), 5) + 0xe6546b64 | 0);
}

function scramble(block: number): number {
  return Math.imul(rotate(Math.imul(block, 0xcc9e2d51), 15), 0x1b873593);
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
