/**
 * Values of one query parameter, read from the raw query without building a map. Names are compared after decoding, so
 * that `%76=1` cannot pass for something else than `v=1`.
 */
export function queryValueAt(query: string, name: string, nth: number): string | null {
  let seen = 0;
  let at = 0;
  const coded = query.includes('%') || query.includes('+');
  while (at <= query.length) {
    let end = query.indexOf('&', at);
    if (end < 0) end = query.length;
    const value = valueStart(query, at, end, name, coded);
    if (value >= 0 && seen++ === nth) {
      const raw = query.slice(value, end);
      return coded ? decodeQueryText(raw) : raw;
    }
    at = end + 1;
  }
  return null;
}

/** Where the value of the pair in [at, end) starts when its name is `name` (end when it has none); -1 when it is not. */
function valueStart(query: string, at: number, end: number, name: string, coded: boolean): number {
  if (at === end) return -1;
  if (query.startsWith(name, at)) {
    const after = at + name.length;
    if (after === end) return end;
    if (after < end && query.charCodeAt(after) === 0x3d) return after + 1;
  }
  if (!coded) return -1;
  const equals = query.indexOf('=', at);
  const nameEnd = equals < 0 || equals > end ? end : equals;
  const raw = query.slice(at, nameEnd);
  if (!raw.includes('%') && !raw.includes('+')) return -1;
  if (decodeQueryText(raw) !== name) return -1;
  return nameEnd === end ? end : nameEnd + 1;
}

/**
 * Form decoding that stays within visible ASCII and space: `+` is a space, `%41` is `A`; bytes outside of 0x20 to 0x7e keep
 * their percent form (upper case), so that a value can stand in a header, a log line or a key as it is.
 */
export function decodeQueryText(raw: string): string {
  if (!raw.includes('%')) return raw.includes('+') ? raw.replaceAll('+', ' ') : raw;
  let text = '';
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code === 0x2b) text += ' ';
    else if (code === 0x25 && i + 2 < raw.length) {
      const byte = hexPair(raw, i + 1);
      if (byte < 0) text += '%';
      else {
        text += byte >= 0x20 && byte <= 0x7e ? String.fromCharCode(byte) : raw.slice(i, i + 3).toUpperCase();
        i += 2;
      }
    } else text += raw.charAt(i);
  }
  return text;
}

function hexPair(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
