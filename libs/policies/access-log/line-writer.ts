import { isNumberVariable, type TemplatePart, type VariablePart } from '@remora/policy-kit/template';
import { compileTemplate, compileVariable, type Evaluator, type TemplateOptions } from '@remora/policy-kit/variables';
import { redactionOf } from './redaction.ts';
import type { AccessLogSettings } from './wire.ts';
import type { Exchange } from '@remora/policy-kit/exchange';

export type LineWriter = (x: Exchange) => string;

/** At most this many characters of one value, and of one line. */
export const valueLengthMax = 2048;
export const lineLengthMax = 16_384;

/** One closure that makes the line of a finished exchange. Nothing but strings is made on the way. */
export function compileLine(settings: AccessLogSettings, options: TemplateOptions): LineWriter {
  return settings.format === 'text' ? compileText(settings, options) : compileJson(settings, options);
}

function compileJson(settings: AccessLogSettings, options: TemplateOptions): LineWriter {
  const writers = settings.fields.map(({ name, parts }) => {
    const key = `,${JSON.stringify(name)}:`;
    const read = compileField(parts, settings, options);
    const number = parts.length === 1 && parts[0]?.kind === 'variable' && isNumberVariable(parts[0].name);
    return number ? (x: Exchange) => key + numberText(read(x)) : (x: Exchange) => stringField(key, read(x));
  });
  return (x) => {
    let line = '';
    for (const write of writers) {
      line += write(x);
      if (line.length > lineLengthMax) return `{${line.slice(1, line.lastIndexOf(',"'))},"truncated":true}`;
    }
    return line === '' ? '{}' : `{${line.slice(1)}}`;
  };
}

/** Empty values are left out. */
function stringField(key: string, value: string): string {
  return value === '' ? '' : key + quote(value);
}

function numberText(value: string): string {
  return value === '' ? '0' : value;
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

function compileField(parts: readonly TemplatePart[], settings: AccessLogSettings, options: TemplateOptions): Evaluator {
  return compileParts(parts, settings, { ...options, lengthMax: valueLengthMax }, null);
}

function compileParts(parts: readonly TemplatePart[], settings: AccessLogSettings, options: TemplateOptions, escape: ((value: string) => string) | null): Evaluator {
  const [only] = parts;
  const plain = parts.every((part) => part.kind === 'text' || redactionOf(part, settings) === null);
  if (plain && escape === null) return compileTemplate(parts, options);
  if (parts.length === 1 && only?.kind === 'variable') return bounded(redactedVariable(only, settings, options, escape), options.lengthMax ?? valueLengthMax);
  const readers = parts.map((part) => (part.kind === 'text' ? () => part.text : redactedVariable(part, settings, options, escape)));
  return bounded((x) => {
    let text = '';
    for (const read of readers) text += read(x);
    return text;
  }, options.lengthMax ?? valueLengthMax);
}

function bounded(read: Evaluator, lengthMax: number): Evaluator {
  return (x) => {
    const text = read(x);
    return text.length > lengthMax ? text.slice(0, lengthMax) : text;
  };
}

function redactedVariable(part: VariablePart, settings: AccessLogSettings, options: TemplateOptions, escape: ((value: string) => string) | null): Evaluator {
  const read = compileVariable(part, options);
  const redact = redactionOf(part, settings);
  if (redact === null) return escape === null ? read : (x) => escape(read(x));
  return escape === null ? (x) => redact(read(x)) : (x) => escape(redact(read(x)));
}
