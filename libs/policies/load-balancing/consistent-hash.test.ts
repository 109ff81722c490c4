import { describe, expect, test } from 'vitest';
import { HashRing, type ConsistentTable, type RingMember } from './hash-ring.ts';
import { MaglevTable, maglevSize } from './maglev-table.ts';
import { hashText } from '@remora/core/text-hash';

const keys = Array.from({ length: 50_000 }, (_, i) => hashText(`user-${i}`));
const ten: readonly RingMember[] = Array.from({ length: 10 }, (_, i) => ({ address: `10.0.0.${i}:8080`, weight: 1 }));
const tables = { ring: (members: readonly RingMember[]): ConsistentTable => new HashRing(members, 512), maglev: (members: readonly RingMember[]): ConsistentTable => new MaglevTable(members, maglevSize) };

function ownersOf(table: ConsistentTable, members: readonly RingMember[]): string[] {
  return keys.map((key) => members[table.memberAt(table.start(key))]?.address ?? '');
}

describe.each(Object.entries(tables))('%s', (_, make) => {
  test('when any one of ten goes, at most 12 % of the keys move', () => {
    const before = ownersOf(make(ten), ten);
    for (const gone of ten) {
      const left = ten.filter((member) => member !== gone);
      const after = ownersOf(make(left), left);
      const moved = before.filter((owner, i) => owner !== after[i]).length / keys.length;
      expect(moved).toBeLessThanOrEqual(0.12);
    }
  });

  test('keys are shared by weight', () => {
    const members = [{ address: 'a:1', weight: 6 }, { address: 'b:1', weight: 3 }, { address: 'c:1', weight: 1 }];
    const owners = ownersOf(make(members), members);
    const share = (address: string): number => owners.filter((owner) => owner === address).length / keys.length;
    expect(share('a:1')).toBeCloseTo(0.6, 1);
    expect(share('b:1')).toBeCloseTo(0.3, 1);
    expect(share('c:1')).toBeCloseTo(0.1, 1);
  });

  test('the order of members means nothing', () => {
    const backwards = ten.toReversed();
    const [one, other] = [ownersOf(make(ten), ten), ownersOf(make(backwards), backwards)];
    // Maglev gives places in turn: of two that want the same place at once, the first gets it.
    expect(one.filter((owner, i) => owner !== other[i]).length / keys.length).toBeLessThan(0.3);
  });

  test('every member is reached from every key', () => {
    const table = make(ten);
    const seen = new Set<number>();
    for (let i = 0; i < table.length; i++) seen.add(table.memberAt(table.start(keys[0] ?? 0) + i));
    expect(seen.size).toBe(10);
  });
});

test('on a ring, only the keys of who went move', () => {
  const left = ten.slice(1);
  const [before, after] = [ownersOf(new HashRing(ten, 512), ten), ownersOf(new HashRing(left, 512), left)];
  expect(before.filter((owner, i) => owner !== ten[0]?.address && owner !== after[i])).toEqual([]);
});

test('a ring of many members has as many places as it may, and one for each at least', () => {
  const many = Array.from({ length: 1000 }, (_, i) => ({ address: `host-${i}:80`, weight: i === 0 ? 1e-6 : 100 }));
  const ring = new HashRing(many, 8192);
  expect(ring.length).toBeGreaterThan(65_000);
  expect(ring.length).toBeLessThan(66_600);
});

test('hashes are the same in every release', () => {
  expect(['', 'a', 'ab', 'abc', 'user-42'].map((text) => hashText(text))).toMatchInlineSnapshot(`
    [
      0,
      1867108634,
      374890698,
      1118836419,
      2703341929,
    ]
  `);
});

test('hashes of similar texts are spread evenly', () => {
  const buckets = Array.from({ length: 64 }, () => 0);
  for (const key of keys) buckets[key >>> 26] = (buckets[key >>> 26] ?? 0) + 1;
  const expected = keys.length / 64;
  const chiSquare = buckets.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(chiSquare).toBeLessThan(110);
});
