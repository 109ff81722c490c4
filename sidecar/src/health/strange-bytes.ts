/**
 * What a server is that answered a request of HTTP/1.1 with these first bytes, so that people who check a wrong port see what is there: `it answers as TLS does`,
 * or the bytes themselves, at most 32 of them. '' where there are none.
 */
export function strangeBytes(bytes: Buffer): string {
  if (bytes.length === 0) return '';
  const known = knownStart(bytes);
  const shown = bytes.subarray(0, shownMax).toString('latin1').replace(/[^ -~]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return `${known === '' ? 'no HTTP/1.1' : known}: it begins with "${shown}"`;
}

function knownStart(bytes: Buffer): string {
  const [first = 0, second = 0] = bytes;
  // RFC 8446 section 5.1: an alert, or a handshake, of TLS 1.0 or later.
  if ((first === 0x15 || first === 0x16) && second === 0x03) return 'it speaks TLS';
  // RFC 9113 section 3.4: a server begins with SETTINGS, on stream 0.
  if (bytes.length >= 9 && bytes[3] === 0x04 && bytes.readUInt32BE(5) === 0) return 'it speaks HTTP/2';
  return '';
}

const shownMax = 32;
