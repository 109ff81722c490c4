import type { Json } from '@remora/core/canonical-json';

/**
 * Reads JSON (RFC 8259) more strictly than `JSON.parse`: duplicate names, nesting and size are errors with a place, and
 * objects have no prototype, so that `__proto__` is a name like any other.
 */
export function readJson(text: string, bounds: { readonly depth: number; readonly nodes: number }): JsonResult {
  const reader = new JsonReader(text, bounds);
  try {
    return { ok: true, value: reader.readWhole() };
  } catch (error) {
    if (error instanceof JsonProblem) return { ok: false, code: error.code, message: error.message, offset: error.offset };
    throw error;
  }
}

export type JsonResult =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly code: 'invalid-json' | 'duplicate-key' | 'too-deep' | 'too-large'; readonly message: string; readonly offset: number };

class JsonProblem extends Error {
  readonly code: 'invalid-json' | 'duplicate-key' | 'too-deep' | 'too-large';
  readonly offset: number;

  constructor(code: JsonProblem['code'], message: string, offset: number) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}

const literals: readonly (readonly [string, Json])[] = [['true', true], ['false', false], ['null', null]];
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const escapes: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

class JsonReader {
  readonly #text: string;
  readonly #bounds: { readonly depth: number; readonly nodes: number };
  #at = 0;
  #nodes = 0;

  constructor(text: string, bounds: { readonly depth: number; readonly nodes: number }) {
    this.#text = text;
    this.#bounds = bounds;
  }

  readWhole(): Json {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail('invalid-json', 'there is more after the value');
    return value;
  }

  #value(depth: number): Json {
    if (depth > this.#bounds.depth) this.#fail('too-deep', `is nested more than ${this.#bounds.depth} levels deep`);
    if (++this.#nodes > this.#bounds.nodes) this.#fail('too-large', `has more than ${this.#bounds.nodes} values`);
    this.#space();
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    return first === '"' ? this.#string() : this.#scalar();
  }

  #object(depth: number): Json {
    const object: Record<string, Json> = Object.create(null);
    this.#at++;
    if (this.#closes('}')) return object;
    do {
      this.#space();
      const at = this.#at;
      if (this.#text[at] !== '"') this.#fail('invalid-json', 'expected a name in double quotes');
      const name = this.#string();
      if (Object.hasOwn(object, name)) this.#fail('duplicate-key', `the name ${JSON.stringify(name.slice(0, 60))} is given twice`, at);
      this.#expect(':');
      object[name] = this.#value(depth + 1);
    } while (this.#continues('}'));
    return object;
  }

  #array(depth: number): Json {
    const array: Json[] = [];
    this.#at++;
    if (this.#closes(']')) return array;
    do array.push(this.#value(depth + 1));
    while (this.#continues(']'));
    return array;
  }

  #string(): string {
    let made = '';
    this.#at++;
    for (;;) {
      const start = this.#at;
      this.#skipPlain();
      made += this.#text.slice(start, this.#at);
      const next = this.#text[this.#at];
      if (next === '"') {
        this.#at++;
        return made;
      }
      if (next !== '\\') this.#fail('invalid-json', next === undefined ? 'the text does not end' : 'a control character stands in a text');
      made += this.#escape();
    }
  }

  /** To the next quote, backslash, control character or the end. */
  #skipPlain(): void {
    while (this.#at < this.#text.length) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === 0x22 || code === 0x5c || code < 0x20) return;
      this.#at++;
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? '';
    if (letter === 'u') {
      const digits = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!/^[0-9A-Fa-f]{4}$/.test(digits)) this.#fail('invalid-json', '\\u needs four hexadecimal digits');
      this.#at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const plain = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined;
    if (plain === undefined) this.#fail('invalid-json', `\\${letter} is no escape`);
    this.#at += 2;
    return plain ?? '';
  }

  #scalar(): Json {
    for (const [word, value] of literals) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    number.lastIndex = this.#at;
    const digits = number.exec(this.#text)?.[0] ?? '';
    if (digits === '') this.#fail('invalid-json', this.#at >= this.#text.length ? 'the input ends too early' : 'expected a value');
    if (!Number.isFinite(Number(digits))) this.#fail('invalid-json', 'the number is too large');
    this.#at += digits.length;
    return Number(digits);
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #closes(bracket: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== bracket) return false;
    this.#at++;
    return true;
  }

  #continues(bracket: string): boolean {
    if (this.#closes(bracket)) return false;
    if (this.#text[this.#at] !== ',') this.#fail('invalid-json', `expected , or ${bracket}`);
    this.#at++;
    return true;
  }

  #expect(mark: string): void {
    this.#space();
    if (this.#text[this.#at] !== mark) this.#fail('invalid-json', `expected ${mark}`);
    this.#at++;
  }

  #fail(code: JsonProblem['code'], message: string, offset = this.#at): never {
    throw new JsonProblem(code, message, offset);
  }
}
