import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { entryName, headerName, headerValue, type IssueParams } from '@remora/policy-kit/scalars';
import { parseTemplate, templateLengthMax, templateViolation } from '@remora/policy-kit/template';
import { z } from 'zod';
import { isJsonType } from './content-type.ts';
import { bodiesMax, contentTypePattern, headersMax, isOwnedHeader, reasonCodePattern, reasonsMax, rulesMax } from './wire.ts';

const reasonCode = z.string().regex(reasonCodePattern, 'must be a reason code such as rate-limited');
const contentType = z.string().regex(contentTypePattern, 'must be a content type such as application/json or text/html; charset=utf-8');
const template = z.string().max(templateLengthMax);

function changeableHeader() {
  return headerName().superRefine((name, context) => {
    if (!isOwnedHeader(name.toLowerCase())) return;
    context.addIssue({ code: 'custom', message: `${name} is set by the gateway itself`, params: { code: 'protected-header' } satisfies IssueParams });
  });
}

const response = z.strictObject({
  reasons: z.array(reasonCode).min(1).max(reasonsMax).optional(),
  classes: z.array(z.enum(['4xx', '5xx'])).min(1).max(2).optional(),
  status: z.number().int().min(200).max(599).optional(),
  headers: z.record(changeableHeader(), template.max(4096)).refine((map) => Object.keys(map).length <= headersMax, {
    error: `at most ${headersMax} headers are accepted`, params: { code: 'too-many' },
  }).optional(),
  bodies: z.record(contentType, template).refine((map) => Object.keys(map).length <= bodiesMax, {
    error: `at most ${bodiesMax} bodies are accepted`, params: { code: 'too-many' },
  }).optional(),
});

/** `errorResponse` as authored: named entries, each for some reasons or classes. */
export const errorResponseSchema = z.strictObject({
  responses: z.record(entryName(), response).refine((map) => Object.keys(map).length <= rulesMax, {
    error: `at most ${rulesMax} entries are accepted`, params: { code: 'too-many' },
  }).optional(),
});

/** The section after merging: what `compile` gets. */
export interface EffectiveErrorResponse {
  readonly responses?: Readonly<Record<string, EffectiveErrorRule>>;
}

export interface EffectiveErrorRule {
  readonly reasons?: readonly string[];
  readonly classes?: readonly ('4xx' | '5xx')[];
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly bodies?: Readonly<Record<string, string>>;
}

export const errorResponseDefaults: JsonObject = {};

/** Unknown variables, JSON that would not be JSON, and two entries for the same answer. */
export function checkErrorResponse(effective: JsonObject): Violation[] {
  const { responses = {} } = effective as EffectiveErrorResponse;
  const violations: Violation[] = [];
  const takenBy = new Map<string, string>();
  for (const [name, rule] of Object.entries(responses).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const pointer = joinPointer('/responses', name);
    for (const [what, at] of claims(rule, pointer)) {
      const other = takenBy.get(what);
      if (other === undefined) takenBy.set(what, name);
      else violations.push({ pointer: at, code: 'contradiction', message: `${what} is already answered by the entry ${other}` });
    }
    violations.push(...checkTemplates(rule, pointer));
  }
  return violations;
}

function claims(rule: EffectiveErrorRule, pointer: string): [what: string, pointer: string][] {
  const reasons = [...new Set(rule.reasons)];
  const classes = [...new Set(rule.classes)];
  if (reasons.length + classes.length === 0) return [['every other reason', pointer]];
  return [
    ...reasons.map((code, i): [string, string] => [`the reason ${code}`, `${pointer}/reasons/${i}`]),
    ...classes.map((word, i): [string, string] => [`the class ${word}`, `${pointer}/classes/${i}`]),
  ];
}

function checkTemplates(rule: EffectiveErrorRule, pointer: string): Violation[] {
  const violations: Violation[] = [];
  for (const [name, text] of Object.entries(rule.headers ?? {})) {
    const at = joinPointer(pointer, 'headers', name);
    const violation = templateViolation(at, text, 'answer');
    if (violation) violations.push(violation);
    else if (!headerValue().safeParse(text).success) violations.push({ pointer: at, code: 'invalid-header-value', message: 'a header value has no control characters and no white space around it' });
  }
  for (const [type, text] of Object.entries(rule.bodies ?? {})) {
    const at = joinPointer(pointer, 'bodies', type);
    const violation = templateViolation(at, text, 'answer') ?? (isJsonType(type) ? jsonViolation(at, text) : null);
    if (violation) violations.push(violation);
  }
  return violations;
}

/** A JSON body must be JSON whatever the variables are: `0` fits inside strings and in the place of numbers. */
function jsonViolation(pointer: string, text: string): Violation | null {
  const parsed = parseTemplate(text, 'answer');
  if (!parsed.ok) return null;
  const sample = parsed.parts.map((part) => (part.kind === 'text' ? part.text : '0')).join('');
  try {
    JSON.parse(sample);
    return null;
  } catch (error) {
    return { pointer, code: 'invalid-json', message: `the body is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
