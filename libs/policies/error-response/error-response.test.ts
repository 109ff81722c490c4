import type { JsonObject } from '@remora/core/canonical-json';
import { reasons, type Reason } from '@remora/errors/reason';
import type { Answer } from '@remora/policy-kit/exchange';
import { effectiveSection, sectionViolations } from '@remora/testing/effective-section';
import { makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { makeField } from '@remora/http/header-ids';
import { describe, expect, test } from 'vitest';
import { errorResponseAuthoring } from './compile.ts';
import { negotiate } from './content-type.ts';
import { errorResponseRuntime } from './filter.ts';

testKindCases(import.meta.dirname, errorResponseAuthoring, errorResponseRuntime);

const responses: JsonObject = {
  limited: {
    reasons: ['no-route'], status: 410,
    headers: { 'x-support': 'id ${request.id}', 'retry-after': '7', 'x-path': '${request.path}' },
    bodies: {
      'application/json': '{"code": "${reason.code}", "path": "${request.path}", "q": "${query.q}", "status": ${response.status}}',
      'text/html; charset=utf-8': '<p>${query.q}</p>',
      'text/plain': 'q=${query.q}',
    },
  },
  server: { classes: ['5xx'], bodies: { 'text/plain': 'sorry' } },
};

function rewrite(reason: Reason, headers: Record<string, string> = {}, section: JsonObject = responses): Answer {
  expect(sectionViolations(errorResponseAuthoring, { responses: section })).toEqual([]);
  const context = new TestFilterContext('errorResponse');
  const body = errorResponseAuthoring.compile(effectiveSection(errorResponseAuthoring, { responses: section })).body;
  const filter = errorResponseRuntime.edge?.(errorResponseRuntime.decode(body), context);
  const x = makeExchange({ request: { method: 'GET', authority: 'shop.example', target: '/a%22b?q=<"&%0a', headers } }, context);
  const answer: Answer = { ...context.refuse(reason, '', '', [makeField('retry-after', '60'), makeField('x-kept', '1')]) };
  return filter?.answer?.(x, answer) ?? answer;
}

function text(answer: Answer): string {
  return answer.body === null ? '(problem)' : new TextDecoder().decode(answer.body);
}

describe('errorResponse', () => {
  test('by reason: status, headers and body, JSON where the client does not say', () => {
    const answer = rewrite(reasons.noRoute);
    expect(answer.status).toBe(410);
    expect(answer.contentType).toBe('application/json');
    expect(JSON.parse(text(answer))).toEqual({ code: 'no-route', path: '/a%22b', q: '<"', status: 410 });
    expect(answer.fields.map((field) => `${field.name}: ${field.value}`)).toEqual(['x-kept: 1', 'retry-after: 7', 'x-path: /a%22b', 'x-support: id request-1']);
  });

  test('values cannot become markup', () => {
    const answer = rewrite(reasons.noRoute, { accept: 'text/html' });
    expect(answer.contentType).toBe('text/html; charset=utf-8');
    expect(text(answer)).toBe('<p>&lt;&quot;</p>');
  });

  test('what the client likes best; what it does not accept is JSON all the same', () => {
    expect(text(rewrite(reasons.noRoute, { accept: 'text/plain;q=0.9, text/html;q=0.1' }))).toBe('q=<"');
    expect(rewrite(reasons.noRoute, { accept: 'image/png' }).contentType).toBe('application/json');
    expect(rewrite(reasons.noRoute, { accept: '*/*' }).contentType).toBe('application/json');
  });

  test('by class, and nothing for what no entry takes', () => {
    expect(text(rewrite(reasons.noHealthyUpstream))).toBe('sorry');
    expect(rewrite(reasons.noHealthyUpstream).status).toBe(503);
    expect(text(rewrite(reasons.badRequest))).toBe('(problem)');
    expect(text(rewrite(reasons.badRequest, {}, { rest: { bodies: { 'text/plain': 'other' } } }))).toBe('other');
  });

  test('a reason is stronger than its class', () => {
    const section = { a: { classes: ['5xx'], bodies: { 'text/plain': 'class' } }, b: { reasons: ['no-healthy-upstream'], bodies: { 'text/plain': 'reason' } } };
    expect(text(rewrite(reasons.noHealthyUpstream, {}, section))).toBe('reason');
  });

  test('gRPC clients and answers that refuse nothing are left alone', () => {
    expect(text(rewrite(reasons.noHealthyUpstream, { 'content-type': 'application/grpc+proto' }))).toBe('(problem)');
    expect(text(rewrite({ ...reasons.noRoute, status: 204 }))).toBe('(problem)');
  });
});

test.each([
  ['', []],
  ['text/html', ['text/html']],
  ['text/*', ['text/html', 'text/plain']],
  ['text/*;q=0.2, application/json;q=0.1', ['text/html']],
  ['*/*, text/html;q=0', ['application/json']],
  ['TEXT/HTML ; Q=0.5', ['text/html']],
  ['text/html;q=2, text/plain;q=0.9', ['text/html']],
])('Accept: %s', (accept, wanted) => {
  const types = ['application/json', 'text/html', 'text/plain'];
  const chosen = types[negotiate(accept, types)];
  expect(wanted.length === 0 ? chosen : wanted.includes(chosen ?? '')).toBe(wanted.length === 0 ? undefined : true);
});
