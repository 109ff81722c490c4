/** Name and password as a client shows them (RFC 7617). */
export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

/** Characters of what follows the scheme. */
const encodedMax = 2_048;

/** What follows `Basic` in `authorization`; null: another scheme. */
export function basicValue(value: string): string | null {
  if (value.length < 6 || value.charCodeAt(5) !== 0x20 || value.slice(0, 5).toLowerCase() !== 'basic') return null;
  return value.slice(6).trim();
}

/** Strict: base64 as RFC 4648 section 4 writes it, UTF-8, one colon at least, no control characters. Null where it is not. */
export function readBasicCredentials(encoded: string): BasicCredentials | null {
  if (encoded.length > encodedMax || encoded.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return null;
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) return null;
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return null;
  }
  const colon = text.indexOf(':');
  if (colon < 1 || /\p{Cc}/u.test(text)) return null;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
