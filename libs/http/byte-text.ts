/**
 * Latin-1 text in byte arrays: the only encoding in which every header byte survives a round trip through a string.
 * `Buffer` has these two natively, undocumented in its types but stable since Node 0.x; they save a call and a switch per
 * string made on the request path.
 */
export interface TextBuffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  /** Answers the bytes written. Characters above U+00FF lose their high bits: check before. */
  latin1Write(text: string, offset: number, length: number): number;
}

/** Bytes that nobody else writes. Not zeroed. */
export function allocateText(size: number): TextBuffer {
  return Buffer.allocUnsafeSlow(size) as TextBuffer;
}

/** The same memory as a Buffer. */
export function asText(bytes: Uint8Array): TextBuffer {
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view as TextBuffer;
}

/** Bytes of a header value that was given as a string: Latin-1 where possible, so that received bytes are restored; else UTF-8. */
export function encodeValue(text: string): Buffer {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0xff) return Buffer.from(text, 'utf8');
  }
  return Buffer.from(text, 'latin1');
}
