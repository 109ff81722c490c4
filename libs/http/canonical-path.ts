/**
 * The one spelling of a path that routes, authorization and upstreams see (security.md 3.1). Percent-encoded letters that need no
 * encoding are decoded (RFC 3986 section 6.2.2), characters that need it are encoded, hex digits are upper case. What upstreams are known to
 * read in different ways is refused unless the rules allow that spelling. '' means refused.
 *
 * Refused always: `#`, `%00`, incomplete escapes, escapes of escapes (`%252e`), overlong UTF-8. `%2B` stays apart from `+`, which
 * some upstreams take for a space.
 */
export function canonicalPath(raw: string, rules: PathSpellingRules): string {
  if (isCanonical(raw) || raw === '*') return raw;
  if (raw.charCodeAt(0) !== SLASH) return '';
  let path = '';
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code === PERCENT) {
      const byte = hexByte(raw, i + 1);
      const text = byte < 0 ? '' : escaped(raw, i, byte, rules);
      if (text === '') return '';
      path += text;
      i += 2;
      continue;
    }
    const text = plain(code, rules);
    if (text === '') return '';
    path += text;
  }
  if (path.includes('%25') && hasDoubleEscape(path)) return '';
  return canonicalSegments(path, rules);
}

/** Most paths are: no escape, nothing that the rules speak of, no empty segment, no segment that begins with a dot. */
function isCanonical(raw: string): boolean {
  if (raw.charCodeAt(0) !== SLASH) return false;
  let afterSlash = true;
  for (let i = 1; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code === SLASH) {
      if (afterSlash) return false;
      afterSlash = true;
    } else {
      if (!isPathChar(code) || (afterSlash && code === DOT)) return false;
      afterSlash = false;
    }
  }
  return true;
}

/** Which of the spellings that are refused by default are accepted. */
export interface PathSpellingRules {
  readonly allowEncodedSlash: boolean;
  readonly allowBackslash: boolean;
  readonly mergeSlashes: boolean;
  readonly resolveDotSegments: boolean;
  readonly allowSemicolon: boolean;
  /** `%01` to `%1F`, and `%7F`. */
  readonly allowEncodedControl: boolean;
}

function plain(code: number, rules: PathSpellingRules): string {
  switch (code) {
    case HASH:
      return '';
    case SEMICOLON:
      return rules.allowSemicolon ? ';' : '';
    case BACKSLASH:
      return rules.allowBackslash ? '%5C' : '';
    default:
      if (code <= 32 || code >= 127) return '';
      return code === SLASH || isPathChar(code) ? String.fromCharCode(code) : percent(code);
  }
}

/** `%XX` at `at`, whose value is `byte`. */
function escaped(raw: string, at: number, byte: number, rules: PathSpellingRules): string {
  switch (byte) {
    case 0:
      return '';
    case SLASH:
      return rules.allowEncodedSlash ? '%2F' : '';
    case BACKSLASH:
      return rules.allowBackslash ? '%5C' : '';
    case SEMICOLON:
      return rules.allowSemicolon ? '%3B' : '';
    case PERCENT:
      return '%25';
    case PLUS:
      return '%2B';
    default:
      if (byte < 32 || byte === 127) return rules.allowEncodedControl ? percent(byte) : '';
      if (byte >= 0xc0 && overlong(raw, at, byte)) return '';
      return isPathChar(byte) ? String.fromCharCode(byte) : percent(byte);
  }
}

/** An encoded `%` before two hex digits, also where those were encoded themselves. */
function hasDoubleEscape(path: string): boolean {
  for (let at = path.indexOf('%25'); at >= 0; at = path.indexOf('%25', at + 3)) if (hexByte(path, at + 3) >= 0) return true;
  return false;
}

/** UTF-8 in more bytes than needed: C0, C1, E0 below A0, F0 below 90, and lead bytes beyond Unicode. */
function overlong(raw: string, at: number, lead: number): boolean {
  if (lead === 0xc0 || lead === 0xc1 || lead > 0xf4) return true;
  if (lead !== 0xe0 && lead !== 0xf0) return false;
  const next = raw.charCodeAt(at + 3) === PERCENT ? hexByte(raw, at + 4) : -1;
  return next >= 0x80 && next < (lead === 0xe0 ? 0xa0 : 0x90);
}

function canonicalSegments(path: string, rules: PathSpellingRules): string {
  if (!path.includes('//') && !path.includes('/.')) return path;
  const kept: string[] = [];
  const segments = path.split('/');
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i] as string;
    const last = i === segments.length - 1;
    if (segment === '' && !last) {
      if (!rules.mergeSlashes) return '';
    } else if (segment === '.' || segment === '..') {
      if (!rules.resolveDotSegments) return '';
      if (segment === '..' && kept.pop() === undefined) return '';
      if (last) kept.push('');
    } else {
      kept.push(segment);
    }
  }
  return `/${kept.join('/')}`;
}

function hexByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function percent(byte: number): string {
  return `%${byte < 16 ? '0' : ''}${byte.toString(16).toUpperCase()}`;
}

/** pchar of RFC 3986 without `;`, `%` and escapes. */
function isPathChar(code: number): boolean {
  return code < 128 && pathChars[code] === 1;
}

const SLASH = 47;
const PERCENT = 37;
const HASH = 35;
const DOT = 46;
const SEMICOLON = 59;
const BACKSLASH = 92;
const PLUS = 43;
const pathChars = new Uint8Array(128);
for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@") pathChars[char.charCodeAt(0)] = 1;
