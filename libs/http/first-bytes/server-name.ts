import { parseIpAddress } from '@remora/core/ip-address';

/**
 * The host that a client asks for (RFC 6066 section 3). What is not a valid host name is `unreadable`, never taken for absent: whoever
 * chooses a policy by name must be able to refuse it (security.md 3.5).
 */
export type ServerName =
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreadable' }
  /** Lower case, without a final dot; at most 253 characters. */
  | { readonly kind: 'host'; readonly host: string };

/** Reads the extension's content, `bytes[at, to)`. */
export function readServerName(bytes: Uint8Array, at: number, to: number): ServerName {
  if (to - at < 5 || u16(bytes, at) !== to - at - 2) return unreadable;
  // One entry: a second one of the same type is forbidden, and no other type was ever defined.
  const size = u16(bytes, at + 3);
  if (bytes[at + 2] !== hostNameType || size === 0 || size !== to - at - 5) return unreadable;
  const host = hostOf(bytes, at + 5, to);
  if (host !== null) return { kind: 'host', host };
  // An address is not allowed here. Clients that send theirs all the same ask for no host.
  return parseIpAddress(Buffer.from(bytes.subarray(at + 5, to)).toString('latin1'), words) === 0 ? unreadable : absent;
}

/** Null where the bytes are no host name: labels of letters, digits, `-` and `_`, 1 to 63 each, the last one not a number. */
function hostOf(bytes: Uint8Array, at: number, to: number): string | null {
  if (to - at > 253) return null;
  let text = '';
  let labelAt = at;
  let numeric = true;
  for (let i = at; i < to; i++) {
    const byte = bytes[i] as number;
    if (byte === dot) {
      if (!isLabelEnd(bytes, labelAt, i)) return null;
      labelAt = i + 1;
      numeric = true;
      text += '.';
      continue;
    }
    if (!isLabelByte(byte)) return null;
    if (byte < 0x30 || byte > 0x39) numeric = false;
    text += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte);
  }
  // A last label of digits only belongs to an address; a final dot is not allowed here.
  return isLabelEnd(bytes, labelAt, to) && !numeric ? text : null;
}

function isLabelEnd(bytes: Uint8Array, from: number, to: number): boolean {
  return to > from && to - from <= 63 && bytes[from] !== hyphen && bytes[to - 1] !== hyphen;
}

function isLabelByte(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || byte === hyphen || byte === 0x5f;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

const words = new Uint32Array(4);
const absent: ServerName = Object.freeze({ kind: 'absent' });
const unreadable: ServerName = Object.freeze({ kind: 'unreadable' });
const hostNameType = 0;
const dot = 0x2e;
const hyphen = 0x2d;
