import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { GoodAnswers, type GoodAnswer } from './good-answers.ts';

function answer(bytes: number, storedAtMs: number): GoodAnswer {
  return { status: 200, headers: [], body: new Uint8Array(bytes), bodyLength: bytes, storedAtMs };
}

test('keeps what a model keeps, within its bounds', () => {
  const store = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), bytes: fc.integer({ min: 0, max: 1500 }) });
  fc.assert(fc.property(fc.array(store, { maxLength: 80 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 500, max: 4000 }), (stores, entries, bytes) => {
    const answers = new GoodAnswers({ entries, bytes });
    let model: { key: string; at: number; bytes: number }[] = [];
    for (const [at, one] of stores.entries()) {
      const size = one.bytes + 2 + 256;
      expect(answers.store(one.key, answer(one.bytes, at))).toBe(size <= bytes);
      if (size > bytes) continue;
      model = [...model.filter(({ key }) => key !== one.key), { key: one.key, at, bytes: size }];
      while (model.length > entries || model.reduce((sum, each) => sum + each.bytes, 0) > bytes) model.shift();
      for (const key of 'abcdef') expect(answers.find(key, at, 1e9)?.storedAtMs).toBe(model.find((each) => each.key === key)?.at);
      expect([answers.size, answers.bytes]).toEqual([model.length, model.reduce((sum, each) => sum + each.bytes, 0)]);
    }
  }));
});
