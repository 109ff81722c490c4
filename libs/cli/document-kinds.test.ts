import { describe, expect, test } from 'vitest';
import { CommandFailure } from './command-failure.ts';
import { documentPath, parseDocumentNames } from './document-kinds.ts';

describe('names of documents on the command line', () => {
  test.each([
    { words: ['policy', 'baseline'], paths: ['/v1/policies/baseline'] },
    { words: ['policies', 'a', 'b'], paths: ['/v1/policies/a', '/v1/policies/b'] },
    { words: ['Policy/a', 'service/b'], paths: ['/v1/policies/a', '/v1/services/b'] },
    { words: ['mesh'], paths: ['/v1/mesh/mesh'] },
    { words: ['route', 'a b?c'], paths: ['/v1/routes/a%20b%3Fc'] },
    { words: ['policy/__proto__'], paths: ['/v1/policies/__proto__'] },
  ])('$words', ({ words, paths }) => {
    expect(parseDocumentNames(words).map(documentPath)).toEqual(paths);
  });

  test.each([
    { words: [], says: 'name what is meant' },
    { words: ['policy'], says: 'which of the policies?' },
    { words: ['polici', 'x'], says: 'did you mean polic' },
    { words: ['/x'], says: 'does not name a document' },
    { words: ['policy/'], says: 'does not name a document' },
    { words: ['policy/a', 'b'], says: 'does not name a document' },
    { words: ['constructor', 'x'], says: 'is no kind of document' },
  ])('refuses $words', ({ words, says }) => {
    expect(() => parseDocumentNames(words)).toThrow(CommandFailure);
    expect(() => parseDocumentNames(words)).toThrow(says);
  });
});
