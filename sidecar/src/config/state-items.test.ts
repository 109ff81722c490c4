import fc from 'fast-check';
import { settle } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import { bodyBytesMax, itemBytesMax, itemsMax, KeptItems, type ItemUpdate } from './kept-items.ts';
import { ClientFixture, snapshot } from './testdata/client-fixture.ts';
import { MemoryDisk } from './testdata/memory-disk.ts';

type Say = ClientFixture['controlPlane']['last']['say'];
interface Brought { readonly kind: string; readonly name: string; readonly text: string }

function state(index: number, more: { readonly full?: boolean; readonly items?: readonly Brought[]; readonly removed?: readonly string[]; readonly hold?: readonly string[] }): Parameters<Say>[0] {
  const { full = false, items = [], removed = [], hold = [] } = more;
  return {
    $case: 'state',
    value: {
      version: { epoch: 5n, index: BigInt(index) }, full: false, sets: [], removed: [], hash: Buffer.alloc(32, index), hold: [],
      items: items.map(({ kind, name, text }) => ({ kind, name, body: Buffer.from(text) })), removedItems: [...removed], holdItems: [...hold], fullItems: full,
    },
  };
}

const pin = { kind: 'secret', name: 'pin', text: '1234' };
const roots = { kind: 'trustBundle', name: 'shop.example', text: 'roots' };

function factsOf(fixture: ClientFixture, kind: string): Record<string, string> {
  const book = fixture.dataPlane.facts.of(kind);
  return Object.fromEntries([...book.names()].map((name) => [name, Buffer.from(book.get(name) ?? []).toString()]));
}

describe('items of the state lane', () => {
  test('become facts under their kind and name, and reach readers, before the ACK', async () => {
    const fixture = await new ClientFixture().start();
    const heard: [number, ...string[]][] = [];
    fixture.client.onItem('secret', (items) => heard.push([fixture.answers.length, ...items.keys()]));
    fixture.controlPlane.last.say(state(1, { full: true, items: [pin, roots] }));
    await settle();
    expect(heard).toEqual([[0, 'pin']]);
    expect(fixture.answers).toHaveLength(1);
    expect(factsOf(fixture, 'secret')).toEqual({ pin: '1234' });
    expect(factsOf(fixture, 'trustBundle')).toEqual({ 'shop.example': 'roots' });
    fixture.controlPlane.last.say(state(2, { removed: ['secret/pin', 'secret/never'] }));
    await settle();
    expect(heard).toEqual([[0, 'pin'], [1]]);
    expect(factsOf(fixture, 'secret')).toEqual({});
    expect(fixture.client.status.state).toMatchObject({ items: 1, itemBytes: 5 });
  });

  test('and endpoints that came before a configuration are in force before it, however long they take', async () => {
    const fixture = await new ClientFixture().start();
    const { last } = fixture.controlPlane;
    const facts = Promise.withResolvers<void>();
    const endpoints = Promise.withResolvers<void>();
    fixture.dataPlane.beforeFacts = () => facts.promise;
    fixture.dataPlane.beforeEndpoints = () => endpoints.promise;
    last.say(state(1, { full: true, items: [pin] }));
    await fixture.push(snapshot(1));
    expect([fixture.answers, fixture.enforced]).toEqual([[], []]);
    facts.resolve();
    await settle();
    expect([factsOf(fixture, 'secret'), fixture.enforced]).toEqual([{ pin: '1234' }, []]);
    endpoints.resolve();
    await settle();
    expect(fixture.answers).toEqual(['ack state 5.1 not persisted', 'ack config 1.1']);
    expect(fixture.dataPlane.calls.map((call) => call.split(' ')[0])).toEqual(['endpoints', 'prepare', 'swap']);
  });

  test('that are refused hold no configuration up', async () => {
    const fixture = await new ClientFixture().start();
    fixture.dataPlane.beforeFacts = () => Promise.reject(new Error('a thread died'));
    fixture.controlPlane.last.say(state(1, { full: true, items: [pin] }));
    await fixture.push(snapshot(1));
    expect(fixture.answers.at(-1)).toBe('ack config 1.1');
    expect(fixture.answers[0]).toMatch(/^nack state 5\.1 resync/);
  });

  test('a full list drops what it neither brings nor holds', async () => {
    const fixture = await new ClientFixture().start();
    fixture.controlPlane.last.say(state(1, { full: true, items: [pin, roots, { kind: 'secret', name: 'old', text: 'x' }, { kind: 'consumers', name: 'a', text: 'x' }] }));
    fixture.controlPlane.last.say(state(2, { full: true, items: [{ ...pin, text: 'new' }], hold: ['trustBundle/', 'consumers/b'] }));
    await settle();
    expect(factsOf(fixture, 'secret')).toEqual({ pin: 'new' });
    expect(factsOf(fixture, 'trustBundle')).toEqual({ 'shop.example': 'roots' });
    expect(factsOf(fixture, 'consumers')).toEqual({});
  });

  test('are there after a restart without a control plane, for readers too', async () => {
    const disk = new MemoryDisk();
    const before = await new ClientFixture({ disk }).start();
    before.controlPlane.last.say(state(1, { full: true, items: [pin, roots] }));
    await settle();
    await before.client.close();
    const after = new ClientFixture({ disk });
    const heard: string[] = [];
    after.client.onItem('secret', (items) => heard.push(...items.keys()));
    await after.client.restore();
    after.client.onItem('secret', (items) => heard.push(`late ${items.size}`));
    expect(heard).toEqual(['pin', 'late 1']);
    expect(factsOf(after, 'secret')).toEqual({ pin: '1234' });
    expect(after.client.status.state.hash).toBe(Buffer.alloc(32, 1).toString('hex'));
  });

  const wrong: readonly [string, Brought, string][] = [
    ['a slash in the name', { ...pin, name: 'a/b' }, 'bad-name'],
    ['no name', { ...pin, name: '' }, 'bad-name'],
    ['a kind that is none', { ...pin, kind: 'a/b' }, 'bad-name'],
    ['a body that is too large', { ...pin, text: 'x'.repeat(bodyBytesMax + 1) }, 'too-large'],
  ];
  test.each(wrong)('%s refuses the whole state, and what was there stays', async (_name, item, code) => {
    const fixture = await new ClientFixture().start();
    fixture.controlPlane.last.say(state(1, { full: true, items: [pin] }));
    fixture.controlPlane.last.say(state(2, { items: [roots, item] }));
    await settle();
    expect(fixture.answers[1]).toBe(`nack state 5.2 invalid ${code}`);
    expect(factsOf(fixture, 'secret')).toEqual({ pin: '1234' });
    expect(factsOf(fixture, 'trustBundle')).toEqual({});
    expect(JSON.stringify(fixture.controlPlane.last.received, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))).not.toContain('1234');
  });

  test('more than the bounds allow are refused', async () => {
    const fixture = await new ClientFixture().start();
    const many = Array.from({ length: itemsMax + 1 }, (_, i) => ({ kind: 'secret', name: `s${i}`, text: '' }));
    fixture.controlPlane.last.say(state(1, { full: true, items: many }));
    fixture.controlPlane.last.say(state(2, { full: true, items: many.slice(1) }));
    await settle();
    expect(fixture.answers[0]).toContain('nack state 5.1 invalid too-many');
    expect(fixture.answers[1]).toContain('ack state 5.2');
  });

  test('a name that this sidecar uses itself is passed over', async () => {
    const fixture = await new ClientFixture().start();
    fixture.controlPlane.last.say(state(1, { full: true, items: [{ kind: 'identity', name: 'own', text: 'forged' }, pin] }));
    await settle();
    expect(factsOf(fixture, 'identity')).toEqual({});
    expect(factsOf(fixture, 'secret')).toEqual({ pin: '1234' });
  });

  test('data threads that do not take them make it come again in full', async () => {
    const fixture = await new ClientFixture().start();
    const { dataPlane } = fixture;
    dataPlane.useFacts = () => Promise.reject(new Error('a thread died'));
    fixture.controlPlane.last.say(state(1, { full: true, items: [pin] }));
    await settle();
    expect(fixture.answers).toEqual(['nack state 5.1 resync apply-failed']);
    expect(fixture.client.status.state).toMatchObject({ items: 0, hash: '' });
  });
});

test('whatever updates come, what is kept is what they add up to, and never more than the bounds', () => {
  const item = fc.record({ kind: fc.constantFrom('secret', 'consumers'), name: fc.constantFrom('a', 'b', 'c'), body: fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)) });
  const key = fc.constantFrom('secret/a', 'secret/b', 'consumers/c', 'secret/', 'nothing/x');
  const update: fc.Arbitrary<ItemUpdate> = fc.record({ full: fc.boolean(), items: fc.array(item, { maxLength: 4 }), removed: fc.array(key, { maxLength: 3 }), hold: fc.array(key, { maxLength: 3 }) });
  fc.assert(fc.property(fc.array(update, { maxLength: 20 }), (updates) => {
    const kept = new KeptItems();
    const model = new Map<string, Buffer>();
    for (const each of updates) {
      const changes = kept.changes(each);
      if ('code' in changes) throw new Error(changes.message);
      kept.apply(changes);
      const named = new Set([...each.items.map(({ kind, name }) => `${kind}/${name}`), ...each.hold]);
      if (each.full) for (const has of model.keys()) if (!named.has(has) && !named.has(has.slice(0, has.indexOf('/') + 1))) model.delete(has);
      if (!each.full) for (const gone of each.removed) model.delete(gone);
      for (const { kind, name, body } of each.items) model.set(`${kind}/${name}`, body);
      expect(kept.all()).toEqual(model);
      expect([kept.size, kept.bytes]).toEqual([model.size, [...model.values()].reduce((sum, { length }) => sum + length, 0)]);
      expect(kept.bytes).toBeLessThanOrEqual(itemBytesMax);
    }
  }));
});
