import type { JsonObject } from '@remora/core/canonical-json';
import { joinPointer } from '@remora/core/pointer';
import type { Violation } from '@remora/core/violation';
import { duration, headerName, oneOf, ratio, size, type IssueParams } from '@remora/policy-kit/scalars';
import { templateLengthMax, templateViolation } from '@remora/policy-kit/template';
import { z } from 'zod';
import { exceptPathsMax, fieldNamePattern, fieldsMax, fileNamePattern, redactMax, rotateBytesMax, rotateBytesMin, statusesMax } from './wire.ts';

const dayMs = 86_400_000;

function status() {
  const expected = 'a status such as 404, or a class such as 5xx';
  return z.union([z.number().int().min(100).max(599), z.enum(['1xx', '2xx', '3xx', '4xx', '5xx'])], { error: () => `must be ${expected}` })
    .meta({ description: expected });
}

const condition = z.strictObject({
  statuses: z.array(status()).min(1).max(statusesMax).optional(),
  slowerThan: duration({ min: 1, max: dayMs }).optional(),
  refusals: z.boolean().optional(),
});

function fieldName() {
  const expected = 'a field name of letters, digits and _ . @ -, at most 64 characters';
  return z.string().superRefine((text, context) => {
    if (fieldNamePattern.test(text)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is not ${expected}`, params: { code: 'invalid-name', expected } satisfies IssueParams });
  });
}

/** `accessLog` as authored. */
export const accessLogSchema = z.strictObject({
  format: oneOf(['json', 'text']).optional(),
  standardFields: z.boolean().optional(),
  fields: z.record(fieldName(), z.string().max(4096)).refine((map) => Object.keys(map).length <= fieldsMax, {
    error: `at most ${fieldsMax} fields are accepted`, params: { code: 'too-many' },
  }).optional(),
  omit: z.array(fieldName()).max(fieldsMax).optional(),
  template: z.string().min(1).max(templateLengthMax).optional(),
  redact: z.strictObject({
    headers: z.array(headerName()).max(redactMax).optional(),
    query: z.array(z.string().min(1).max(128)).max(redactMax).optional(),
  }).optional(),
  sampling: ratio().optional(),
  always: condition.optional(),
  only: condition.optional(),
  exceptPaths: z.array(z.string().regex(/^\/[^\s*?#]*(?:\/\*)?$/, 'must be a path such as /health, or /static/* for everything below it').max(1024)).max(exceptPathsMax).optional(),
  output: oneOf(['stdout', 'file'], ['otlp', 'http']).optional(),
  file: z.strictObject({
    name: z.string().regex(fileNamePattern, 'must be a plain file name such as access.log').optional(),
    rotateAt: size({ min: rotateBytesMin, max: rotateBytesMax }).optional(),
    keep: z.number().int().min(0).max(100).optional(),
  }).optional(),
});

export interface EffectiveCondition {
  readonly statuses?: readonly (number | string)[];
  readonly slowerThan?: string;
  readonly refusals?: boolean;
}

/** The section after merging and defaults: what `compile` gets. */
export interface EffectiveAccessLog {
  readonly format: 'json' | 'text';
  readonly standardFields: boolean;
  readonly fields?: Readonly<Record<string, string>>;
  readonly omit: readonly string[];
  readonly template: string;
  readonly redact: { readonly headers: readonly string[]; readonly query: readonly string[] };
  readonly sampling: string | number;
  readonly always?: EffectiveCondition;
  readonly only?: EffectiveCondition;
  readonly exceptPaths: readonly string[];
  readonly output: 'stdout' | 'file';
  readonly file: { readonly name: string; readonly rotateAt: string; readonly keep: number };
}

/** The text format is that of nginx (`combined`), with the request id and the duration behind it. */
export const accessLogDefaults: JsonObject = {
  format: 'json',
  standardFields: true,
  omit: [],
  template: '${client.address} - - [${now}] "${request.method} ${request.target}" ${response.status} ${bytes.out} "${header.referer}" "${header.user-agent}" ${request.id} ${duration}',
  redact: { headers: [], query: ['access_token', 'api_key', 'apikey', 'code', 'id_token', 'key', 'password', 'secret', 'sig', 'signature', 'token'] },
  sampling: '100%',
  exceptPaths: [],
  output: 'stdout',
  file: { name: 'access.log', rotateAt: '100MiB', keep: 5 },
};

export function checkAccessLog(effective: JsonObject): Violation[] {
  const { fields = {}, template, standardFields, format } = effective as unknown as EffectiveAccessLog;
  const violations: Violation[] = [];
  for (const [name, text] of Object.entries(fields)) {
    const violation = templateViolation(joinPointer('/fields', name), text, 'log');
    if (violation) violations.push(violation);
  }
  const line = templateViolation('/template', template, 'log');
  if (line) violations.push(line);
  if (/[\r\n]/.test(template)) violations.push({ pointer: '/template', code: 'invalid-value', message: 'a line of the log is one line' });
  if (format === 'json' && !standardFields && Object.keys(fields).length === 0) {
    violations.push({ pointer: '/fields', code: 'contradiction', message: 'without standardFields at least one field must be named' });
  }
  return violations;
}
