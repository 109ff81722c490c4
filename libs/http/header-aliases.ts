import { fixedHeaderCount, headerName, tokenLower } from './header-ids.ts';
import type { Field, HeaderId } from './head.ts';

/**
 * Names of headers that only this gateway may set, with every spelling that an app might take for them: in any case, and with `-`, `_` and `.` standing for
 * each other (CGI and WSGI make one variable of all of them). For `Head.removeAliases`; made when a snapshot is built.
 */
export class HeaderAliases {
  /** By id, for names that have one in every process: whether it is one of them. */
  readonly #fixed = new Uint8Array(fixedHeaderCount);
  /** By length of the name: whether one of them has it. */
  readonly #lengths = new Uint8Array(lengthMax + 1);
  readonly #names: readonly Uint8Array[];

  /** Names of configuration: valid, at most 128 characters. */
  constructor(names: readonly string[]) {
    this.#names = names.map((name) => Uint8Array.from(name, (char) => folded(char.charCodeAt(0))));
    for (const name of this.#names) this.#lengths[Math.min(name.length, lengthMax)] = 1;
    for (let id = 1; id < fixedHeaderCount; id++) this.#fixed[id] = Number(this.matchesName(headerName(id)));
  }

  /** Whether the name in `bytes[start, end)`, of a row with this id, is one of them. */
  matches(id: HeaderId, bytes: Uint8Array, start: number, end: number): boolean {
    if (id > 0 && id < fixedHeaderCount) return this.#fixed[id] === 1;
    const length = end - start;
    if (length > lengthMax || this.#lengths[length] === 0) return false;
    for (const name of this.#names) if (name.length === length && sameBytes(name, bytes, start)) return true;
    return false;
  }

  /** As `matches`, for a field that was put. */
  matchesField(field: Field): boolean {
    return field.id > 0 && field.id < fixedHeaderCount ? this.#fixed[field.id] === 1 : this.matchesName(field.name);
  }

  /** As `matches`, for a name as text. Runs for each field that a filter before has put: without making anything. */
  matchesName(name: string): boolean {
    if (name.length > lengthMax || this.#lengths[name.length] === 0) return false;
    for (const one of this.#names) if (one.length === name.length && sameText(one, name)) return true;
    return false;
  }
}

function sameBytes(name: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < name.length; i++) if (folded(bytes[start + i] as number) !== name[i]) return false;
  return true;
}

function sameText(name: Uint8Array, text: string): boolean {
  for (let i = 0; i < name.length; i++) if (folded(text.charCodeAt(i)) !== name[i]) return false;
  return true;
}

/** Characters beyond the table are none of a name. */
function folded(byte: number): number {
  return byte === underscore || byte === dot ? hyphen : (tokenLower[byte] ?? 0);
}

const lengthMax = 128;
const hyphen = 45;
const dot = 46;
const underscore = 95;
