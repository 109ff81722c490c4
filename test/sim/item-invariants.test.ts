import { describe, expect, test } from 'vitest';
import { ItemInvariants, type HeldItems } from './item-invariants.ts';

/** A check that cannot fail proves nothing: each invariant is shown to notice. */
describe('invariants of items', () => {
  const body = (text: string): Uint8Array => Buffer.from(text);
  const held = (kind: string, items: Readonly<Record<string, string>>, more: Partial<HeldItems> = {}): HeldItems => {
    const bodies = new Map(Object.entries(items).map(([name, text]) => [name, body(text)]));
    return { node: 'web-1', incarnation: 1, subject: { kind: 'service', name: 'web' }, kind, items: bodies, facts: bodies, version: { epoch: 1, index: 1 }, ...more };
  };

  test.each<[string, HeldItems, string]>([
    ['the secret of another service', held('secret', { 'orders-key': 'orders-key 1' }), 'web-1 holds secret/orders-key, which is not for service web'],
    ['a secret at a gateway', held('secret', { 'web-key': 'web-key 1' }, { subject: { kind: 'gateway', name: 'edge' } }), 'web-1 holds secret/web-key, which is not for gateway edge'],
    ['proofs that it does not look for', held('consumers', { 'apiKey.3': '' }), 'web-1 holds consumers/apiKey.3, which is not for service web'],
    ['data threads that know something else', held('secret', { 'web-key': 'web-key 2' }, { facts: new Map([['web-key', body('web-key 1')]]) }), 'web-1 keeps other secret than its data threads have'],
  ])('%s', (_title, seen, violation) => {
    const invariants = new ItemInvariants();
    invariants.held(seen);
    expect(invariants.violations).toEqual([violation]);
  });

  test('an item that goes back, also where it was away in between; not over a restart', () => {
    const invariants = new ItemInvariants();
    invariants.held(held('secret', { 'web-key': 'web-key 5' }));
    invariants.held(held('secret', {}));
    expect([invariants.violations, invariants.removals]).toEqual([[], 1]);
    invariants.held(held('secret', { 'web-key': 'web-key 4' }, { incarnation: 2 }));
    expect(invariants.violations).toEqual([]);
    invariants.held(held('secret', { 'web-key': 'web-key 3' }, { incarnation: 2 }));
    expect(invariants.violations).toEqual(['web-1 went back from 4 to 3 of secret/web-key']);
  });

  test('roots that vanish', () => {
    const invariants = new ItemInvariants();
    invariants.held(held('trustBundle', {}));
    invariants.held(held('trustBundle', { all: 'trustBundle 1' }));
    expect(invariants.violations).toEqual([]);
    invariants.held(held('trustBundle', {}));
    expect(invariants.violations).toEqual(['web-1 lost its roots, which nobody took away']);
  });

  test('a version of the state lane that goes back', () => {
    const invariants = new ItemInvariants();
    invariants.held(held('revocations', {}, { version: { epoch: 1, index: 2 } }));
    invariants.held(held('revocations', {}));
    expect(invariants.violations).toEqual(['the state of web-1 went back from 1.2 to 1.1']);
  });

  test('a disk that is not believed, and an end that is another', () => {
    const invariants = new ItemInvariants();
    invariants.restored('web-1', new Map([['secret/web-key', body('x')]]), new Map());
    expect(invariants.violations).toEqual(['web-1 came back with 0 items of the 1 on its disk']);
    expect(invariants.converged('web-1', new Map([['a/1', 'x'], ['a/2', 'x']]), new Map([['a/2', 'y'], ['a/3', 'x']]))).toEqual(['web-1 misses a/1', 'web-1 has another a/2', 'web-1 still has a/3']);
  });
});
