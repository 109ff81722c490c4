import { joinPointer } from '@remora/core/pointer';
import { WireError, type LogFile } from '@remora/policy-kit/runtime-kind';
import { parseTemplate, templateLengthMax, type TemplatePart } from '@remora/policy-kit/template';
import { boundedList, boundedText, decodeMessage, oneWord, wholeNumber } from '@remora/policy-kit/wire-check';
import { AccessLog, type LogCondition, type LogField } from './gen/access-log.ts';

/** One line per request, after its end. */
export interface AccessLogSettings {
  readonly format: 'json' | 'text';
  /** json: in the order in which they are written. */
  readonly fields: readonly { readonly name: string; readonly parts: readonly TemplatePart[] }[];
  /** text: the line. */
  readonly template: readonly TemplatePart[];
  readonly redactedHeaders: ReadonlySet<string>;
  readonly redactedQuery: ReadonlySet<string>;
  /** 0 to 1. */
  readonly sampling: number;
  /** Logged whatever sampling says. null: nothing is. */
  readonly always: LogConditionSettings | null;
  /** Nothing else is logged. null: everything is. */
  readonly only: LogConditionSettings | null;
  readonly exceptPaths: readonly string[];
  /** null: standard output. */
  readonly file: LogFile | null;
}

export interface LogConditionSettings {
  /** 1 to 5 stand for classes. */
  readonly statuses: readonly number[];
  /** 0: not asked. */
  readonly slowerThanMs: number;
  readonly refusals: boolean;
}

export const fieldsMax = 128;
export const redactMax = 64;
export const statusesMax = 64;
export const exceptPathsMax = 64;
export const rotateBytesMin = 64 * 1024;
export const rotateBytesMax = 16 * 1024 ** 3;
export const fieldNamePattern = /^[A-Za-z0-9_@][A-Za-z0-9_.@-]{0,63}$/;
export const fileNamePattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

export const accessLogWire = { name: 'accessLog', format: 1, reasons: [], decode: decodeAccessLog } as const;

function decodeAccessLog(bytes: Uint8Array): AccessLogSettings {
  const message = decodeMessage(AccessLog, bytes);
  const names = (list: readonly string[], pointer: string): ReadonlySet<string> =>
    new Set(boundedList(list, pointer, redactMax).map((name) => boundedText(name, pointer, 128).toLowerCase()));
  return Object.freeze({
    format: oneWord(message.format, '/format', ['json', 'text'] as const),
    fields: Object.freeze(boundedList(message.fields, '/fields', fieldsMax + 32).map(readField)),
    template: readTemplate(message.template, '/template', templateLengthMax),
    redactedHeaders: names(message.redact?.headers ?? [], '/redact/headers'),
    redactedQuery: names(message.redact?.query ?? [], '/redact/query'),
    sampling: wholeNumber(message.samplingPpm, '/sampling', 0, 1_000_000) / 1_000_000,
    always: readCondition(message.always, '/always'),
    only: readCondition(message.only, '/only'),
    exceptPaths: boundedList(message.exceptPaths, '/exceptPaths', exceptPathsMax).map((path) => boundedText(path, '/exceptPaths', 1024, /^\//)),
    file: message.file === undefined ? null : Object.freeze({
      name: boundedText(message.file.name, '/file/name', 128, fileNamePattern),
      rotateBytes: wholeNumber(Number(message.file.rotateBytes), '/file/rotateAt', rotateBytesMin, rotateBytesMax),
      keep: wholeNumber(message.file.keep, '/file/keep', 0, 100),
    }),
  });
}

function readField({ name, template }: LogField): AccessLogSettings['fields'][number] {
  const pointer = joinPointer('/fields', boundedText(name, '/fields', 64, fieldNamePattern));
  return Object.freeze({ name, parts: readTemplate(template, pointer, 4096) });
}

function readTemplate(text: string, pointer: string, lengthMax: number): readonly TemplatePart[] {
  const parsed = parseTemplate(boundedText(text, pointer, lengthMax), 'log');
  if (!parsed.ok) throw new WireError(pointer, parsed.code, parsed.error);
  return parsed.parts;
}

function readCondition(condition: LogCondition | undefined, pointer: string): LogConditionSettings | null {
  if (condition === undefined) return null;
  return Object.freeze({
    statuses: boundedList(condition.statuses, `${pointer}/statuses`, statusesMax).map((status) => wholeNumber(status, `${pointer}/statuses`, 0, 599)),
    slowerThanMs: wholeNumber(condition.slowerThanMs, `${pointer}/slowerThan`, 0, 86_400_000),
    refusals: condition.refusals,
  });
}
