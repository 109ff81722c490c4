import { retryAuthoring } from '@remora/policy-retry/compile';
import { expect, test } from 'vitest';
import { createModel } from '@remora/model/model';
import { loadDocuments } from '@remora/model/load-documents';

const model = createModel({ kinds: new Map([['retry', retryAuthoring]]), checkRegex: () => null });

function wrongWith(retry: string): string[] {
  const loaded = loadDocuments([{ name: 'text', bytes: `{kind: Policy, name: p, target: {}, retry: ${retry}}` }]);
  return model.validateDocuments(loaded.documents).violations.map(({ pointer, code }) => `${pointer} ${code}`);
}

test('what one policy says and takes back is refused, where it says it', () => {
  expect(wrongWith('{retries: 0, retryOn: [503]}')).toEqual(['/retry/retryOn contradiction']);
  expect(wrongWith('{retries: 0}')).toEqual([]);
  expect(wrongWith('{retries: 2, retryOn: [503]}')).toEqual([]);
});
