import { joinPointer } from '@remora/core/pointer';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { parseTemplate, templateLengthMax, type TemplatePart } from '@remora/policy-kit/template';
import { boundedList, boundedText, decodeMessage, wholeNumber, wireHeaderName } from '@remora/policy-kit/wire-check';
import { ErrorResponse, type ErrorRule } from './gen/error-response.ts';

/** How Remora's own answers look, by reason or class. */
export interface ErrorResponseSettings {
  readonly rules: readonly ErrorRuleSettings[];
}

export interface ErrorRuleSettings {
  readonly name: string;
  readonly reasons: readonly string[];
  /** 4 or 5. */
  readonly classes: readonly number[];
  /** 0: the reason's own. */
  readonly status: number;
  readonly headers: readonly { readonly name: string; readonly parts: readonly TemplatePart[] }[];
  readonly bodies: readonly { readonly contentType: string; readonly parts: readonly TemplatePart[] }[];
}

export const rulesMax = 64;
export const reasonsMax = 64;
export const headersMax = 32;
export const bodiesMax = 8;
export const reasonCodePattern = /^[a-z][a-z0-9-]{0,63}$/;
export const contentTypePattern = /^[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}(?:; ?[a-z0-9-]{1,32}=[A-Za-z0-9._-]{1,32}){0,4}$/;

const owned: ReadonlySet<string> = new Set([
  'connection', 'content-length', 'content-type', 'date', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
]);

/** Framing is the codec's; the content type follows the body. */
export function isOwnedHeader(lowerName: string): boolean {
  return owned.has(lowerName) || lowerName.startsWith('x-remora-');
}

export const errorResponseWire = { name: 'errorResponse', format: 1, reasons: [], decode: decodeErrorResponse } as const;

function decodeErrorResponse(bytes: Uint8Array): ErrorResponseSettings {
  const message = decodeMessage(ErrorResponse, bytes);
  return Object.freeze({ rules: Object.freeze(boundedList(message.rules, '/responses', rulesMax).map(readRule)) });
}

function readRule(rule: ErrorRule): ErrorRuleSettings {
  const pointer = joinPointer('/responses', boundedText(rule.name, '/responses', 63));
  return Object.freeze({
    name: rule.name,
    reasons: boundedList(rule.reasons, `${pointer}/reasons`, reasonsMax).map((code) => boundedText(code, `${pointer}/reasons`, 64, reasonCodePattern)),
    classes: boundedList(rule.classes, `${pointer}/classes`, 2).map((digit) => wholeNumber(digit, `${pointer}/classes`, 4, 5)),
    status: rule.status === 0 ? 0 : wholeNumber(rule.status, `${pointer}/status`, 200, 599),
    headers: boundedList(rule.headers, `${pointer}/headers`, headersMax).map(({ name, template }) => readHeader(name, template, pointer)),
    bodies: boundedList(rule.bodies, `${pointer}/bodies`, bodiesMax).map(({ contentType, template }) => ({
      contentType: boundedText(contentType, `${pointer}/bodies`, 256, contentTypePattern),
      parts: readTemplate(template, joinPointer(pointer, 'bodies', contentType)),
    })),
  });
}

function readHeader(name: string, template: string, pointer: string): ErrorRuleSettings['headers'][number] {
  const at = joinPointer(pointer, 'headers', name);
  const lower = wireHeaderName(name, at);
  if (isOwnedHeader(lower)) throw new WireError(at, 'protected-header', `${lower} is set by the gateway itself`);
  if (/[\0\r\n]/.test(template)) throw new WireError(at, 'invalid-header-value', 'the value has control characters');
  return { name: lower, parts: readTemplate(boundedText(template, at, 4096), at) };
}

function readTemplate(text: string, pointer: string): readonly TemplatePart[] {
  const parsed = parseTemplate(boundedText(text, pointer, templateLengthMax), 'answer');
  if (!parsed.ok) throw new WireError(pointer, parsed.code, parsed.error);
  return parsed.parts;
}
