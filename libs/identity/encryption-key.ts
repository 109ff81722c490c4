/** The key to seal with: 32 bytes as base64 or hexadecimal text, as in `openssl rand -base64 32`. A sentence says what is wrong. */
export function readEncryptionKey(text: string): Buffer | string {
  const trimmed = text.trim();
  const bytes = /^[0-9a-fA-F]{64}$/.test(trimmed) ? Buffer.from(trimmed, 'hex') : /^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed) ? Buffer.from(trimmed, 'base64') : null;
  if (bytes?.length !== 32) return 'is no key: expected 32 bytes in base64 or hexadecimal, such as `openssl rand -base64 32` makes';
  if (bytes.every((byte) => byte === bytes[0])) return 'is no key: all its bytes are the same';
  return bytes;
}
