import type { Exchange } from '@remora/policy-kit/exchange';
import { isNumberVariable, type TemplatePart, type VariableName, type VariablePart } from '@remora/policy-kit/template';
import { compileVariable, type Evaluator, type TemplateOptions } from '@remora/policy-kit/variables';
import { redactionOf } from './redaction.ts';
import type { AccessLogSettings } from './wire.ts';

export type LineWriter = (x: Exchange) => string;

/** At most this many characters of one value, and of one line. */
export const valueLengthMax = 2048;
export const lineLengthMax = 16_384;

/** One closure that makes the line of a finished exchange. Nothing but strings is made on the way. */
export function compileLine(settings: AccessLogSettings, options: TemplateOptions): LineWriter {
  return settings.format === 'text' ? compileText(settings, options) : compileJson(settings, options);
}

function compileJson(settings: AccessLogSettings, options: TemplateOptions): LineWriter {
  const groups = groupsOf(settings.fields.map(({ name, parts }) => compileField(`,${JSON.stringify(name)}:`, parts, settings, options)));
  return (x) => {
    let line = '';
    for (const group of groups) {
      line += group.write(x);
      if (line.length > lineLengthMax) return `{${group.cut(line)},"truncated":true}`;
    }
    return line === '' ? '{}' : `{${line.slice(1)}}`;
  };
}

/** Fields that follow each other: either one that is never the same, or all between two of those. */
class FieldGroup {
  readonly #fields: readonly LineWriter[];
  readonly #last: string[];
  #text = '';

  constructor(fields: readonly LineWriter[]) {
    this.#fields = fields;
    this.#last = fields.map(() => '');
  }

  /** Texts that are all those of the request before are not joined again. */
  write(x: Exchange): string {
    const [only] = this.#fields;
    if (only !== undefined && this.#fields.length === 1) return this.#text = this.#last[0] = only(x);
    const last = this.#last;
    let same = true;
    for (let i = 0; i < last.length; i++) {
      const text = (this.#fields[i] as LineWriter)(x);
      if (text === last[i]) continue;
      last[i] = text;
      same = false;
    }
    if (!same) this.#text = last.join('');
    return this.#text;
  }

  /** Of a line that this group has made too long: as many whole fields as there is room for. */
  cut(line: string): string {
    let kept = line.length - this.#text.length;
    for (const text of this.#last) {
      if (kept + text.length > lineLengthMax) break;
      kept += text.length;
    }
    return line.slice(1, kept);
  }
}

function groupsOf(fields: readonly Field[]): FieldGroup[] {
  const groups: FieldGroup[] = [];
  let repeating: LineWriter[] = [];
  for (const { write, repeats } of fields) {
    if (repeats) repeating.push(write);
    else {
      if (repeating.length > 0) groups.push(new FieldGroup(repeating));
      groups.push(new FieldGroup([write]));
      repeating = [];
    }
  }
  if (repeating.length > 0) groups.push(new FieldGroup(repeating));
  return groups;
}

interface Field {
  readonly write: LineWriter;
  /** Its value is mostly that of the request before. */
  readonly repeats: boolean;
}

/** A field with its comma; '' where the value is empty. */
function compileField(key: string, parts: readonly TemplatePart[], settings: AccessLogSettings, options: TemplateOptions): Field {
  const [only] = parts;
  if (parts.length !== 1 || only?.kind !== 'variable') {
    return { write: rememberLast(key, compileParts(parts, settings, { ...options, lengthMax: valueLengthMax }, null), asText), repeats: true };
  }
  const read = compileVariable(only, options);
  if (isNumberVariable(only.name)) {
    if (neverTheSame.has(only.name)) return { write: (x) => key + (read(x) || '0'), repeats: false };
    return { write: rememberLast(key, (x) => read(x) || '0', asNumber), repeats: true };
  }
  const redact = redactionOf(only, settings);
  if (redact === null && neverTheSame.has(only.name)) return { write: unescaped(key, read), repeats: false };
  return { write: rememberLast(key, read, redact === null ? asText : (value) => asText(redact(value))), repeats: true };
}

/** Written as they are: no character of theirs needs an escape (ids from outside are taken only without). */
const neverTheSame: ReadonlySet<VariableName> = new Set<VariableName>(['now', 'now.unixMs', 'uuid', 'request.id', 'duration', 'duration.head']);

function unescaped(key: string, read: Evaluator): LineWriter {
  const begin = `${key}"`;
  return (x) => {
    const value = read(x);
    return value === '' ? '' : `${begin}${value}"`;
  };
}

/**
 * Most values are those of the request before (host, route, method …): the last text is kept, so that nothing is escaped
 * again, and texts are joined that are whole already.
 */
function rememberLast(key: string, read: Evaluator, write: (value: string) => string): LineWriter {
  let last = '';
  let text = '';
  return (x) => {
    const value = read(x);
    if (value === last) return text;
    last = value;
    text = value === '' ? '' : key + write(value);
    return text;
  };
}

function asText(value: string): string {
  return quote(cut(value, valueLengthMax));
}

function asNumber(value: string): string {
  return value;
}

function cut(text: string, lengthMax: number): string {
  return text.length > lengthMax ? text.slice(0, lengthMax) : text;
}

/** A JSON string; nearly every value needs no escape. */
export function quote(value: string): string {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 0x20 || code === 0x22 || code === 0x5c || code >= 0x7f) return JSON.stringify(value);
  }
  return `"${value}"`;
}

function compileText(settings: AccessLogSettings, options: TemplateOptions): LineWriter {
  const read = compileParts(settings.template, settings, { ...options, lengthMax: lineLengthMax }, escapeText);
  return (x) => read(x);
}

/** A value in a line of text cannot end the line or a quotation, and an empty one is `-`, as with nginx. */
function escapeText(value: string): string {
  if (value === '') return '-';
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 0x20 || code === 0x22 || code === 0x5c || code === 0x7f) return value.replace(/["\\\p{Cc}]/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
  }
  return value;
}

/** Literal text and variables, each redacted and then escaped. */
function compileParts(parts: readonly TemplatePart[], settings: AccessLogSettings, options: TemplateOptions, escape: ((value: string) => string) | null): Evaluator {
  const lengthMax = options.lengthMax ?? valueLengthMax;
  const readers = parts.map((part) => (part.kind === 'text' ? () => part.text : redactedVariable(part, settings, options, escape)));
  return (x) => {
    let text = '';
    for (const read of readers) text += read(x);
    return cut(text, lengthMax);
  };
}

function redactedVariable(part: VariablePart, settings: AccessLogSettings, options: TemplateOptions, escape: ((value: string) => string) | null): Evaluator {
  const read = compileVariable(part, options);
  const redact = redactionOf(part, settings);
  if (redact === null) return escape === null ? read : (x) => escape(read(x));
  return escape === null ? (x) => redact(read(x)) : (x) => escape(redact(read(x)));
}
