import { allocateText, type TextBuffer } from '../byte-text.ts';
import { headerTableVersion } from '../header-ids.ts';
import { classifyName, fieldKind } from './field-kind.ts';
import { validFieldValue } from './field-value.ts';
import { staticFields } from './static-table.ts';

/** A field of the static or of a decoder's dynamic table: looked at once, when it is added. */
export class TableField {
  /** `name: value\r\n` */
  readonly line: TextBuffer;
  readonly nameEnd: number;
  readonly valueEnd: number;
  /** Of `fieldKind`. */
  readonly kind: number;
  /** The value has no byte that it must not have. Names that are not valid are of the kind `badName`. */
  readonly valid: boolean;
  /** For pseudo-header fields: the value in the form in which heads have it; null until somebody needed it. Never of others. */
  text: string | null = null;
  #id: number;
  #tableVersion: number;

  /** Takes `line` over. */
  constructor(line: TextBuffer, nameEnd: number) {
    const name = classifyName(line, 0, nameEnd);
    this.line = line;
    this.nameEnd = nameEnd;
    this.valueEnd = line.length - 2;
    this.kind = name & 15;
    this.valid = validFieldValue(line, nameEnd + 2, line.length - 2);
    this.#id = name >> 4;
    this.#tableVersion = headerTableVersion();
  }

  /** Header id of the name; 0 where nobody mentions it. Follows the configuration. */
  get id(): number {
    if (this.#tableVersion !== headerTableVersion()) {
      this.#tableVersion = headerTableVersion();
      this.#id = classifyName(this.line, 0, this.nameEnd) >> 4;
    }
    return this.#id;
  }

  /** As RFC 7541 section 4.1 counts it. */
  get size(): number {
    return this.line.length - lineFraming + fieldOverhead;
  }

  get pseudo(): boolean {
    return this.kind >= fieldKind.unknownPseudo;
  }
}

/** RFC 7541 section 4.1. */
export const fieldOverhead = 32;
/** `: ` and CRLF. */
const lineFraming = 4;

/** From index 1 on; nothing at 0. */
export const staticTable: readonly TableField[] = [makeStatic('', ''), ...staticFields.map(([name, value]) => makeStatic(name, value))];

function makeStatic(name: string, value: string): TableField {
  const line = allocateText(name.length + value.length + lineFraming);
  line.latin1Write(`${name}: ${value}\r\n`, 0, line.length);
  return new TableField(line, name.length);
}
