import type { Json } from '@remora/core/canonical-json';

/**
 * JSON from strangers (RFC 8259): undefined where it is none, where a member comes twice, where it is nested deeper than `depthMax`, or has characters that are
 * no Unicode. Objects have no prototype, so that `__proto__` is a name like any other.
 */
export function parseStrictJson(text: string): Json | undefined {
  if (!text.isWellFormed()) return undefined;
  const reader = new JsonReader(text);
  const value = reader.value(0);
  return value !== undefined && reader.atEnd() ? value : undefined;
}

/** The same for UTF-8; other bytes, and a byte order mark, are no JSON. */
export function parseStrictJsonBytes(bytes: Uint8Array): Json | undefined {
  try {
    return parseStrictJson(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const depthMax = 32;

class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    this.#skipSpace();
    return this.#at === this.#text.length;
  }

  /** Undefined: not JSON; where the reader stands then means nothing. */
  value(depth: number): Json | undefined {
    this.#skipSpace();
    const code = this.#text.charCodeAt(this.#at);
    switch (code) {
      case quote: return this.#string();
      case openBrace: return depth >= depthMax ? undefined : this.#object(depth + 1);
      case openBracket: return depth >= depthMax ? undefined : this.#array(depth + 1);
      case letterT: return this.#word('true') ? true : undefined;
      case letterF: return this.#word('false') ? false : undefined;
      case letterN: return this.#word('null') ? null : undefined;
      default: return this.#number();
    }
  }

  #object(depth: number): Json | undefined {
    const object = Object.create(null) as Record<string, Json>;
    this.#at++;
    if (this.#takes(closeBrace)) return object;
    for (;;) {
      this.#skipSpace();
      const name = this.#text.charCodeAt(this.#at) === quote ? this.#string() : undefined;
      if (name === undefined || name in object || !this.#takes(colon)) return undefined;
      const value = this.value(depth);
      if (value === undefined) return undefined;
      object[name] = value;
      if (this.#takes(closeBrace)) return object;
      if (!this.#takes(comma)) return undefined;
    }
  }

  #array(depth: number): Json | undefined {
    const list: Json[] = [];
    this.#at++;
    if (this.#takes(closeBracket)) return list;
    for (;;) {
      const value = this.value(depth);
      if (value === undefined) return undefined;
      list.push(value);
      if (this.#takes(closeBracket)) return list;
      if (!this.#takes(comma)) return undefined;
    }
  }

  #string(): string | undefined {
    const start = this.#at++;
    for (let escaped = false; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code === quote) return escaped ? unescaped(this.#text.slice(start, ++this.#at)) : this.#text.slice(start + 1, this.#at++);
      if (code < 0x20) return undefined;
      if (code !== backslash) continue;
      escaped = true;
      this.#at++;
    }
    return undefined;
  }

  #number(): number | undefined {
    number.lastIndex = this.#at;
    const found = number.exec(this.#text);
    if (found === null) return undefined;
    this.#at = number.lastIndex;
    const value = Number(found[0]);
    return Number.isFinite(value) ? value : undefined;
  }

  #word(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #takes(code: number): boolean {
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }
}

function unescaped(literal: string): string | undefined {
  try {
    const text = JSON.parse(literal) as string;
    return text.isWellFormed() ? text : undefined;
  } catch {
    return undefined;
  }
}

const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const colon = 0x3a;
const comma = 0x2c;
const letterT = 0x74;
const letterF = 0x66;
const letterN = 0x6e;
