import { randomBytes } from 'node:crypto';

/** Makes request ids: unique over all threads and processes, 26 characters, cheap. They are names, not secrets. */
export class RequestIds {
  readonly #prefix: string;
  #next = 0;

  constructor(prefix = randomBytes(8).toString('hex')) {
    this.#prefix = prefix;
  }

  make(): string {
    this.#next = (this.#next + 1) % 0x1_0000_0000_00;
    const count = this.#next.toString(36);
    return this.#prefix + zeros.slice(count.length) + count;
  }
}

const zeros = '0000000000';

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
