import { fixedHeaderCount, internHeaderName, tokenLower } from './header-ids.ts';
import type { HeaderId } from './head.ts';

/**
 * Names of headers that only this gateway may set, with every spelling that an app might take for them: in any case, and with `-`, `_` and `.` standing for
 * each other (CGI and WSGI make one variable of all of them). For `Head.removeAliases`; made when a snapshot is built.
 */
export class HeaderAliases {
  readonly ids: readonly HeaderId[];
  /** By length of the name: whether one of them has it. */
  readonly #lengths = new Uint8Array(lengthMax + 1);
  readonly #names: readonly Uint8Array[];

  /** Names of configuration: valid, at most 128 characters. */
  constructor(names: readonly string[]) {
    this.ids = names.map((name) => internHeaderName(name));
    this.#names = names.map((name) => Uint8Array.from(name, (char) => folded(char.charCodeAt(0))));
    for (const name of this.#names) this.#lengths[Math.min(name.length, lengthMax)] = 1;
  }

  /** Whether the name in `bytes[start, end)`, of a row with this id, is one of them. */
  matches(id: HeaderId, bytes: Uint8Array, start: number, end: number): boolean {
    if (id > 0 && id < fixedHeaderCount) return this.ids.includes(id);
    const length = end - start;
    if (length > lengthMax || this.#lengths[length] === 0) return false;
    for (const name of this.#names) if (name.length === length && sameName(name, bytes, start)) return true;
    return false;
  }

  /** As `matches`, for a name as text. */
  matchesName(name: string): boolean {
    const bytes = Uint8Array.from(name, (char) => char.charCodeAt(0));
    return this.matches(0, bytes, 0, bytes.length);
  }
}

function sameName(name: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < name.length; i++) if (folded(bytes[start + i] as number) !== name[i]) return false;
  return true;
}

function folded(byte: number): number {
  return byte === underscore || byte === dot ? hyphen : (tokenLower[byte] as number);
}

const lengthMax = 128;
const hyphen = 45;
const dot = 46;
const underscore = 95;
