import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expectGolden, goldenJson } from '@remora/testing/golden';
import { sampleKinds } from '@remora/testing/sample-kinds';
import { describe, expect, test } from 'vitest';
import { loadDocuments } from './load-documents.ts';
import { createModel } from './model.ts';

const checkRegex = (pattern: string): string | null => {
  try {
    return RegExp(pattern).source === '' ? 'is empty' : null;
  } catch {
    return 'is not a regular expression';
  }
};
const model = createModel({ kinds: sampleKinds, checkRegex });
const folder = path.join(import.meta.dirname, 'testdata');

function casesOf(group: string): string[] {
  return readdirSync(path.join(folder, group)).filter((name) => !name.endsWith('.golden.json'));
}

function load(group: string, name: string) {
  const loaded = loadDocuments([{ name, bytes: readFileSync(path.join(folder, group, name)) }]);
  const { documents, violations } = model.validateDocuments(loaded.documents);
  return { documents, violations: [...loaded.violations, ...violations] };
}

describe.each(casesOf('valid'))('valid/%s', (name) => {
  test('is accepted and has its golden canonical form', () => {
    const { documents, violations } = load('valid', name);
    expect(violations).toEqual([]);
    expectGolden(path.join(folder, 'valid', `${name}.golden.json`), goldenJson(documents));
  });
});

describe.each(casesOf('invalid'))('invalid/%s', (name) => {
  test('is refused with its golden violations, all at once', () => {
    const { violations } = load('invalid', name);
    expect(violations.length).toBeGreaterThan(0);
    expectGolden(path.join(folder, 'invalid', `${name}.golden.json`), goldenJson(violations));
  });
});
