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
  const writers = settings.fields.map(({ name, parts }) => compileField(`,${JSON.stringify(name)}:`, parts, settings, options));
  return (x) => {
    let line = '';
    for (const write of writers) {
      line += write(x);
      if (line.length > lineLengthMax) return `{${line.slice(1, line.lastIndexOf(',"'))},"truncated":true}`;
    }
    return line === '' ? '{}' : `{${line.slice(1)}}`;
  };
}

/** A field with its comma; '' where the value is empty. */
function compileField(key: string, parts: readonly TemplatePart[], settings: AccessLogSettings, options: TemplateOptions): LineWriter {
  const [only] = parts;
  if (parts.length !== 1 || only?.kind !== 'variable') {
    return rememberLast(key, compileParts(parts, settings, { ...options, lengthMax: valueLengthMax }, null), null);
  }
  const read = compileVariable(only, options);
  if (isNumberVariable(only.name)) return (x) => key + (read(x) || '0');
  if (neverTheSame.has(only.name)) return (x) => `${key}"${read(x)}"`;
  return rememberLast(key, read, redactionOf(only, settings));
}

/** Written as they are: no character of theirs needs an escape. */
const neverTheSame: ReadonlySet<VariableName> = new Set<VariableName>(['now', 'uuid']);

/**
 * Most values are those of the request before (host, route, method …): the last text is kept, so that nothing is escaped
 * again, and texts are joined that are whole already.
 */
function rememberLast(key: string, read: Evaluator, redact: ((value: string) => string) | null): LineWriter {
  let last = '';
  let text = '';
  return (x) => {
    const value = read(x);
    if (value === last) return text;
    last = value;
    text = value === '' ? '' : key + quote(cut(redact === null ? value : redact(value), valueLengthMax));
    return text;
  };
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
