import { describe, expect, test } from 'vitest';
import { readYaml } from './yaml-reader.ts';

const problems = (text: string): string[] => readYaml(text, { depth: 64, nodes: 1_000, aliases: 10 }).flatMap((one) => one.problems.map(({ line, message }) => `${line}: ${message}`));

describe('what is not closed is told where it was opened', () => {
  test.each([
    ['kind: Policy\na: [1, 2\nb: 3\n', ['2: column 4: the [ here is not closed by ] before a line that is indented too little']],
    ['a: [1, 2\n', ['1: column 4: the [ here is not closed by ]']],
    ['a: [\n  1,\n  2\nb: 3\n', ['1: column 4: the [ here is not closed by ] before a line that is indented too little']],
    ['a:\n  b: {x: 1\nc: 2\n', ['2: column 6: the { here is not closed by } before a line that is indented too little']],
    ['a: {\n  x: [1,\n  2\n', ['2: column 6: the [ here is not closed by ]', '1: column 4: the { here is not closed by }']],
    ['a: [1,\n  [2,\n  3\n', ['2: column 3: the [ here is not closed by ]', '1: column 4: the [ here is not closed by ]']],
    ['a: [[1, 2]\nb: 1\n', ['1: column 4: the [ here is not closed by ] before a line that is indented too little']],
    ['x: 1\n---\na: [1\n---\nb: 2\n', ['3: column 4: the [ here is not closed by ]']],
    ['[1,\n2', ['1: column 1: the [ here is not closed by ]']],
    ['a: 1\nb: "text\nc: 2\n', ['2: column 4: the " here is not closed by "']],
    ["a: 1\nb: 'text\nc: 2\n", ["2: column 4: the ' here is not closed by '"]],
  ])('%j', (text, expected) => {
    expect(problems(text)).toEqual(expected);
  });

  test.each([
    ['a:\n  b: [1,\n2]\n', '2: column 6: the [ here is not closed by ] before a line that is indented too little'],
    ['a: [1, {b: 2]\nc: 3\n', '1: column 8: the { here is not closed by }'],
  ])('%j: the first of several', (text, expected) => {
    expect(problems(text)[0]).toBe(expected);
  });

  test('what is closed, and only not indented, is told where it ends', () => {
    expect(problems('a:\n  b: [\n    1\n]\n')[0] ?? '').not.toContain('is not closed');
  });
});
