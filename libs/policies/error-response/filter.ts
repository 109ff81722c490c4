import { headerId, makeField } from '@remora/http/header-ids';
import type { Field } from '@remora/http/head';
import type { Answer, EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import type { TemplatePart } from '@remora/policy-kit/template';
import { compileTemplate, type Evaluator } from '@remora/policy-kit/variables';
import { escapeFor, isJsonType, negotiate } from './content-type.ts';
import { errorResponseWire, type ErrorResponseSettings, type ErrorRuleSettings } from './wire.ts';

/** Rewrites the answers that Remora makes itself; those of the app pass as they are. */
export const errorResponseRuntime: RuntimeKind<ErrorResponseSettings> = {
  ...errorResponseWire,
  side: 'provider',
  edge: makeErrorResponseFilter,
};

const contentTypeId = headerId('content-type');
const acceptId = headerId('accept');
const bodyLengthMax = 65_536;

type Rewrite = (x: Exchange, answer: Answer) => Answer;

function makeErrorResponseFilter(settings: ErrorResponseSettings, context: FilterContext): EdgeFilter | null {
  if (settings.rules.length === 0) return null;
  const byReason = new Map<string, Rewrite>();
  const byClass: (Rewrite | null)[] = [null, null, null, null, null, null];
  let rest: Rewrite | null = null;
  for (const rule of settings.rules) {
    const rewrite = compileRule(rule, context);
    for (const code of rule.reasons) if (!byReason.has(code)) byReason.set(code, rewrite);
    for (const digit of rule.classes) byClass[digit] ??= rewrite;
    if (rule.reasons.length + rule.classes.length === 0) rest ??= rewrite;
  }
  return {
    kind: 'errorResponse',
    answer(x, answer) {
      // Answers that refuse nothing (preflights, redirects) stay; a gRPC client understands its status only.
      if (answer.status < 400 || x.head.valueAt(contentTypeId, 0).startsWith('application/grpc')) return answer;
      const rewrite = byReason.get(answer.reason.code) ?? byClass[Math.floor(answer.status / 100)] ?? rest;
      return rewrite === null ? answer : rewrite(x, answer);
    },
  };
}

function compileRule(rule: ErrorRuleSettings, context: FilterContext): Rewrite {
  const headers = rule.headers.map(({ name, parts }) => ({ name, field: compileField(name, parts, context) }));
  const replaced = new Set(headers.map((header) => header.name));
  const body = compileBody(rule, context);
  return (x, answer) => {
    const status = rule.status === 0 ? answer.status : rule.status;
    const changed = { ...answer, status };
    const fields = headers.length === 0 ? answer.fields : [
      ...answer.fields.filter((field) => !replaced.has(field.name)),
      ...headers.map((header) => header.field(x, changed)),
    ];
    return body === null ? { ...changed, fields } : { ...changed, fields, ...body(x, changed) };
  };
}

/** A value without variables is encoded once. */
function compileField(name: string, parts: readonly TemplatePart[], context: FilterContext): (x: Exchange, answer: Answer) => Field {
  const evaluate = compileTemplate(parts, { random: context.random, clock: context.clock, lengthMax: 4096 });
  if (parts.every((part) => part.kind === 'text')) {
    const fixed = makeField(name, parts.map((part) => (part.kind === 'text' ? part.text : '')).join(''));
    return () => fixed;
  }
  return (x, answer) => makeField(name, evaluate(x, answer));
}

const encoder = new TextEncoder();

function compileBody(rule: ErrorRuleSettings, context: FilterContext): ((x: Exchange, answer: Answer) => { body: Uint8Array; contentType: string }) | null {
  const bodies = rule.bodies.map(({ contentType, parts }) => ({ contentType, evaluate: compileText(contentType, parts, context) }))
    .sort((a, b) => Number(isJsonType(b.contentType)) - Number(isJsonType(a.contentType)));
  const [usual] = bodies;
  if (usual === undefined) return null;
  const types = bodies.map((body) => body.contentType);
  return (x, answer) => {
    const accept = x.head.valueAt(acceptId, 0);
    const chosen = accept === '' || bodies.length === 1 ? usual : (bodies[negotiate(accept, types)] ?? usual);
    return { contentType: chosen.contentType, body: encoder.encode(chosen.evaluate(x, answer)) };
  };
}

function compileText(contentType: string, parts: readonly TemplatePart[], context: FilterContext): Evaluator {
  const escape = escapeFor(contentType);
  const options = { random: context.random, clock: context.clock, lengthMax: bodyLengthMax };
  return compileTemplate(parts, escape === undefined ? options : { ...options, escape });
}
