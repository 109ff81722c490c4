import { describe, expect, it } from 'vitest';
import { FactBooks } from './facts.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('FactBooks', () => {
  it('replaces by name, removes by null, and drops what a full update does not name', () => {
    const books = new FactBooks();
    const book = books.of('jwks');
    expect(book.version).toBe(0);
    books.apply({ kind: 'jwks', full: false, facts: new Map([['a', bytes('1')], ['b', bytes('1')]]) });
    books.apply({ kind: 'jwks', full: false, facts: new Map([['a', bytes('2')], ['b', null]]) });
    expect([[...book.names()], Buffer.from(book.get('a') ?? []).toString(), book.version]).toEqual([['a'], '2', 2]);
    books.apply({ kind: 'jwks', full: true, facts: new Map([['c', bytes('3')]]) });
    expect([...book.names()]).toEqual(['c']);
    expect(books.of('jwks')).toBe(book);
  });

  it('gives a thread that knows nothing all there is', () => {
    const books = new FactBooks();
    books.of('secret');
    books.apply({ kind: 'jwks', full: false, facts: new Map([['a', bytes('1')]]) });
    const other = new FactBooks();
    for (const update of books.all()) other.apply(update);
    expect(other.all()).toEqual(books.all());
    expect(books.all().map(({ kind }) => kind)).toEqual(['jwks']);
  });
});
