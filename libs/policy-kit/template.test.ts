import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTemplate, templateLengthMax, templateViolation, type TemplateScope } from './template.ts';

const rejected: readonly [text: string, scope: TemplateScope, code: string, offset: number, suggestion?: string][] = [
  ['${header.x-a', 'request', 'bad-template', 0],
  ['ab ${nwo}', 'request', 'unknown-variable', 3, '${now}'],
  ['${headers.x-a}', 'request', 'unknown-variable', 0, '${header.x-a}'],
  ['${header.}', 'request', 'bad-template', 0],
  ['${header.a b}', 'request', 'bad-template', 0],
  ['${cookie.a=b}', 'request', 'bad-template', 0],
  ['x${claim.}', 'request', 'bad-template', 1],
  ['${consumer.nme}', 'log', 'unknown-variable', 0, '${consumer.name}'],
  ['${duration}', 'request', 'not-available', 0],
  ['${response.status}', 'request', 'not-available', 0],
  ['${response.header.x}', 'answer', 'not-available', 0],
  ['${__proto__}', 'request', 'unknown-variable', 0],
  ['${constructor}', 'request', 'unknown-variable', 0],
  ['a'.repeat(templateLengthMax + 1), 'request', 'too-long', 0],
  ['${uuid}'.repeat(300), 'request', 'too-long', 7 * 256],
];

describe('parseTemplate', () => {
  test.each(rejected)('refuses %s in %s', (text, scope, code, offset, suggestion) => {
    const result = parseTemplate(text, scope);
    expect(result).toMatchObject({ ok: false, code, offset });
    if (!result.ok) expect(result.suggestion).toBe(suggestion);
  });

  test('keeps text, escapes and lone dollars', () => {
    expect(parseTemplate('a$b $${x} ${now}$')).toEqual({
      ok: true,
      parts: [
        { kind: 'text', text: 'a$b ${x} ' },
        { kind: 'variable', name: 'now', argument: '' },
        { kind: 'text', text: '$' },
      ],
    });
  });

  test('header names are lower-cased, path and query names are not', () => {
    const result = parseTemplate('${header.X-A}${query.Ab}${path.Id}');
    expect(result.ok && result.parts.map((part) => part.kind === 'variable' && part.argument)).toEqual(['x-a', 'Ab', 'Id']);
  });

  test('is total, and what has no ${ is itself', () => {
    fc.assert(fc.property(fc.string({ maxLength: 60 }), (text) => {
      const result = parseTemplate(text);
      const wanted = { ok: true, parts: text === '' ? [] : [{ kind: 'text', text }] };
      expect(text.includes('${') || JSON.stringify(result) === JSON.stringify(wanted)).toBe(true);
    }));
  });

  test('a violation names the place and the nearest spelling', () => {
    expect(templateViolation('/set/x', 'a ${request.idd}')).toEqual({
      pointer: '/set/x',
      code: 'unknown-variable',
      message: '${request.idd} is not a variable. (at character 3)',
      suggestion: '${request.id}',
    });
    expect(templateViolation('/set/x', 'plain')).toBeNull();
  });
});
