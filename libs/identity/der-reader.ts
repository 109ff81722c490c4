/** What a reader throws; the sentence says what was expected where. */
export class DerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DerError';
  }
}

export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag, length and content. */
  readonly whole: Uint8Array;
}

export const derTag = { boolean: 0x01, integer: 0x02, bits: 0x03, octets: 0x04, oid: 0x06, sequence: 0x30, set: 0x31 } as const;

/**
 * Walks over the values inside one piece of DER (ITU-T X.690 section 10): definite lengths in their shortest form, tags of
 * one byte, nothing beyond the end. What it hands out are views of what it was given.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get over(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The next value, whatever it is. */
  any(what: string): DerValue {
    const start = this.#at;
    const tag = this.#byte(what);
    if ((tag & 0x1f) === 0x1f) throw new DerError(`${what}: tags of several bytes are not read`);
    const size = this.#length(what);
    const end = this.#at + size;
    if (end > this.#bytes.length) throw new DerError(`${what} is cut off`);
    const content = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return { tag, content, whole: this.#bytes.subarray(start, end) };
  }

  next(tag: number, what: string): DerValue {
    const value = this.any(what);
    if (value.tag !== tag) throw new DerError(`${what} is not there`);
    return value;
  }

  optional(tag: number, what: string): DerValue | null {
    return this.#bytes[this.#at] === tag ? this.any(what) : null;
  }

  /** Nothing may follow. */
  end(what: string): void {
    if (!this.over) throw new DerError(`${what} is followed by something else`);
  }

  #byte(what: string): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new DerError(`${what} is missing`);
    return byte;
  }

  #length(what: string): number {
    const first = this.#byte(what);
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count < 1 || count > 3) throw new DerError(`${what} has a length that is not read here`);
    let size = 0;
    for (let i = 0; i < count; i++) size = size * 256 + this.#byte(what);
    if (size < 0x80 || size < 256 ** (count - 1)) throw new DerError(`${what} has a length that is not in its shortest form`);
    return size;
  }
}

/** `2.5.29.17`. Numbers of at most 28 bits. */
export function oidText(content: Uint8Array): string {
  const numbers: number[] = [];
  let value = 0;
  let digits = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f);
    digits++;
    if (digits > 4) throw new DerError('an object identifier has a number that is not read here');
    if (byte & 0x80) continue;
    if (numbers.length === 0) numbers.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else numbers.push(value);
    value = digits = 0;
  }
  if (digits > 0 || numbers.length === 0) throw new DerError('an object identifier is cut off');
  return numbers.join('.');
}
