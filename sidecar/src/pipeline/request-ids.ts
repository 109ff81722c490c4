import { randomBytes } from 'node:crypto';
import { allocateText } from '@remora/http/byte-text';

/** Makes request ids: unique over all threads and processes, 26 characters, cheap. They are names, not secrets. */
export class RequestIds {
  /** The id made last: counted on in place, which is three times as fast as putting a string together. */
  readonly #text = allocateText(prefixLength + countLength);

  /** `prefix`: 16 characters that nobody else begins with. */
  constructor(prefix = randomBytes(prefixLength / 2).toString('hex')) {
    this.#text.fill(firstDigit);
    this.#text.latin1Write(prefix, 0, prefixLength);
  }

  make(): string {
    const text = this.#text;
    for (let at = prefixLength + countLength - 1; at >= prefixLength; at--) {
      const digit = nextDigit[text[at] as number] as number;
      text[at] = digit;
      if (digit !== firstDigit) break;
    }
    return text.latin1Slice(0, prefixLength + countLength);
  }
}

const prefixLength = 16;
const countLength = 10;
const digits = '0123456789abcdefghijklmnopqrstuvwxyz';
const firstDigit = digits.charCodeAt(0);
/** By character code: the digit that follows; the first one after the last. */
const nextDigit = new Uint8Array(128);
for (let i = 0; i < digits.length; i++) nextDigit[digits.charCodeAt(i)] = digits.charCodeAt((i + 1) % digits.length);

/** Whether an id from outside may be kept: 1 to 128 characters that are harmless in headers, logs and URLs. */
export function isRequestId(text: string): boolean {
  if (text.length === 0 || text.length > 128) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const plain = (code >= 48 && code <= 57) || ((code | 32) >= 97 && (code | 32) <= 122) || code === 45 || code === 46 || code === 95;
    if (!plain && code !== 58 && code !== 43 && code !== 61 && code !== 47 && code !== 126 && code !== 64) return false;
  }
  return true;
}
