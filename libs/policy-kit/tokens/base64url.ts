/**
 * Bytes of canonical base64url (RFC 7515 section 2: without padding, unused bits zero), and of nothing else: null. One sequence of bytes has one spelling, so
 * that what is compared as text is compared as bytes.
 */
export function decodeBase64Url(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}
