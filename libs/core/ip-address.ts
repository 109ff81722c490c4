/**
 * Reads an IP address into four 32-bit words without allocating. Answers 4 (the address is in `words[3]`), 6, or 0 where the
 * text is none. IPv4 is strict dotted decimal without leading zeros; `::ffff:192.0.2.1` is the IPv4 address that it maps
 * (RFC 4291 section 2.5.5.2). A zone (`%eth0`) is ignored.
 */
export function parseIpAddress(text: string, words: Uint32Array): 0 | 4 | 6 {
  const zone = text.indexOf('%');
  const end = zone < 0 ? text.length : zone;
  if (text.indexOf(':') < 0) {
    const value = parseIpv4(text, 0, end);
    if (value < 0 || zone >= 0) return 0;
    words.fill(0);
    words[3] = value;
    return 4;
  }
  if (!parseIpv6(text, end, words)) return 0;
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) {
    words[2] = 0;
    return 4;
  }
  return 6;
}

/** An IPv4 address in [at, end) as a number; -1 where it is none. */
function parseIpv4(text: string, at: number, end: number): number {
  let value = 0;
  let parts = 0;
  let digits = 0;
  let part = 0;
  for (let i = at; i <= end; i++) {
    const code = i === end ? 0x2e : text.charCodeAt(i);
    if (code === 0x2e) {
      if (digits === 0 || part > 255) return -1;
      value = value * 256 + part;
      parts += 1;
      digits = 0;
      part = 0;
    } else {
      if (code < 0x30 || code > 0x39 || digits === 3 || (digits > 0 && part === 0)) return -1;
      part = part * 10 + code - 0x30;
      digits += 1;
    }
  }
  return parts === 4 ? value : -1;
}

function parseIpv6(text: string, end: number, words: Uint32Array): boolean {
  words.fill(0);
  let groups = 0;
  /** Number of groups before `::`; -1 where there is none. */
  let gap = -1;
  let at = 0;
  if (text.startsWith('::')) {
    gap = 0;
    at = 2;
  }
  while (at < end) {
    if (groups === 8) return false;
    let stop = text.indexOf(':', at);
    if (stop < 0 || stop > end) stop = end;
    const dot = text.indexOf('.', at);
    if (dot >= 0 && dot < stop) {
      if (stop !== end || groups > 6) return false;
      const value = parseIpv4(text, at, end);
      if (value < 0) return false;
      putGroup(words, groups, Math.floor(value / 65536));
      putGroup(words, groups + 1, value % 65536);
      groups += 2;
      break;
    }
    const group = parseGroup(text, at, stop);
    if (group < 0) return false;
    putGroup(words, groups, group);
    groups += 1;
    if (stop === end) break;
    at = stop + 1;
    if (at === end) return false;
    if (text.charCodeAt(at) === 0x3a) {
      if (gap >= 0) return false;
      gap = groups;
      at += 1;
    }
  }
  if (gap < 0) return groups === 8;
  return groups < 8 && spread(words, groups, gap);
}

/** Moves the groups after `::` to the end. */
function spread(words: Uint32Array, groups: number, gap: number): true {
  const shift = 8 - groups;
  for (let i = groups - 1; i >= gap; i--) {
    putGroup(words, i + shift, getGroup(words, i));
    putGroup(words, i, 0);
  }
  return true;
}

function parseGroup(text: string, at: number, end: number): number {
  if (end === at || end - at > 4) return -1;
  let value = 0;
  for (let i = at; i < end; i++) {
    const code = text.charCodeAt(i);
    const lower = code | 0x20;
    if (code >= 0x30 && code <= 0x39) value = value * 16 + code - 0x30;
    else if (lower >= 0x61 && lower <= 0x66) value = value * 16 + lower - 0x57;
    else return -1;
  }
  return value;
}

function getGroup(words: Uint32Array, group: number): number {
  const word = words[group >> 1] ?? 0;
  return group % 2 === 0 ? word >>> 16 : word & 0xffff;
}

function putGroup(words: Uint32Array, group: number, value: number): void {
  const word = words[group >> 1] ?? 0;
  words[group >> 1] = group % 2 === 0 ? ((word & 0xffff) | (value << 16)) >>> 0 : ((word & 0xffff0000) | value) >>> 0;
}

/** A network as a comparable value: what CIDR notation says, with the bits beyond the prefix cleared. */
export interface IpNetwork {
  readonly family: 4 | 6;
  readonly words: Uint32Array;
  /** 0 to 32, or 0 to 128. */
  readonly prefix: number;
}

/** `10.0.0.0/8`, `2001:db8::/32`, or a single address; null where the text is neither. */
export function parseIpNetwork(text: string): IpNetwork | null {
  const slash = text.indexOf('/');
  const words = new Uint32Array(4);
  const address = slash < 0 ? text : text.slice(0, slash);
  const family = address.includes('%') ? 0 : parseIpAddress(address, words);
  if (family === 0) return null;
  const bits = family === 4 ? 32 : 128;
  if (slash < 0) return { family, words, prefix: bits };
  const digits = text.slice(slash + 1);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(digits)) return null;
  // A mapped IPv4 address with an IPv6 prefix length: `::ffff:10.0.0.0/104` is 10.0.0.0/8.
  const prefix = Number(digits) - (family === 4 && address.includes(':') ? 96 : 0);
  if (prefix < 0 || prefix > bits) return null;
  clearBeyond(words, family === 4 ? 96 + prefix : prefix);
  return { family, words, prefix };
}

function clearBeyond(words: Uint32Array, bits: number): void {
  for (let i = 0; i < 4; i++) {
    const keep = Math.min(32, Math.max(0, bits - i * 32));
    words[i] = keep === 0 ? 0 : ((words[i] ?? 0) & (0xffffffff << (32 - keep))) >>> 0;
  }
}
