import { describe, expect, test } from 'vitest';
import { WireError } from './runtime-kind.ts';
import { boundedList, boundedText, decodeMessage, oneWord, realNumber, wholeNumber, wireHeaderName, wireHeaderValue } from './wire-check.ts';

function refusal(run: () => unknown): Pick<WireError, 'pointer' | 'code'> | null {
  try {
    run();
    return null;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { pointer: error.pointer, code: error.code };
  }
}

describe('bounds of wire messages', () => {
  test.each([
    ['a whole number', () => wholeNumber(3, '/a', 1, 3), null],
    ['one beyond', () => wholeNumber(4, '/a', 1, 3), 'out-of-range'],
    ['a fraction', () => wholeNumber(1.5, '/a', 1, 3), 'out-of-range'],
    ['no number', () => wholeNumber(Number.NaN, '/a', 1, 3), 'out-of-range'],
    ['a real number', () => realNumber(0.5, '/a', 0, 1), null],
    ['infinity', () => realNumber(Number.POSITIVE_INFINITY, '/a', 0, 1), 'out-of-range'],
    ['a word', () => oneWord('x', '/a', ['x', 'y']), null],
    ['another word', () => oneWord('toString', '/a', ['x', 'y']), 'invalid-value'],
    ['a list', () => boundedList([1, 2], '/a', 2), null],
    ['a longer list', () => boundedList([1, 2, 3], '/a', 2), 'too-many'],
    ['a text', () => boundedText('ab', '/a', 2, /^a/), null],
    ['a longer text', () => boundedText('abc', '/a', 2), 'too-long'],
    ['another text', () => boundedText('b', '/a', 2, /^a/), 'invalid-value'],
    ['a header name', () => wireHeaderName('X-A', '/a'), null],
    ['a header name with a line break', () => wireHeaderName('x\r\n', '/a'), 'invalid-value'],
    ['a header value', () => wireHeaderValue('a b', '/a'), null],
    ['a header value with a line break', () => wireHeaderValue('a\nb', '/a'), 'invalid-value'],
  ])('%s', (_title, run, code) => {
    expect(refusal(run)).toEqual(code === null ? null : { pointer: '/a', code });
  });

  test('names come out in lower case', () => {
    expect(wireHeaderName('X-Tenant', '')).toBe('x-tenant');
  });

  test('what the decoder throws becomes a WireError', () => {
    const broken = { decode: (): never => { throw new RangeError('index out of range'); } };
    expect(refusal(() => decodeMessage(broken, new Uint8Array(1)))).toEqual({ pointer: '', code: 'malformed-message' });
  });
});
