/**
 * Whether a `traceparent` value is one that a receiver must accept (W3C Trace Context, section 3.2.2): lower-case hex, no
 * zero trace or parent id, version `00` with nothing behind it, or a later version that begins like it.
 */
export function isTraceParent(text: string): boolean {
  if (text.length < 55 || text.length > 256) return false;
  if (text.charCodeAt(2) !== dash || text.charCodeAt(35) !== dash || text.charCodeAt(52) !== dash) return false;
  if (!isHex(text, 0, 2) || !isHex(text, 3, 35) || !isHex(text, 36, 52) || !isHex(text, 53, 55)) return false;
  if (isZero(text, 3, 35) || isZero(text, 36, 52) || text.startsWith('ff')) return false;
  return text.startsWith('00') ? text.length === 55 : text.length === 55 || text.charCodeAt(55) === dash;
}

const dash = 0x2d;

function isHex(text: string, at: number, end: number): boolean {
  for (let i = at; i < end; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false;
  }
  return true;
}

function isZero(text: string, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (text.charCodeAt(i) !== 0x30) return false;
  return true;
}
