import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { consecutiveRows, HostRows } from './host-rows.ts';

/** One step of one thread. */
const step = fc.record({ slot: fc.integer({ min: 0, max: 3 }), mark: fc.integer({ min: 1, max: 2 }), what: fc.constantFrom('fail', 'succeed', 'take', 'interval') });

test('rows agree with a map for every sequence of steps, whoever makes them', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const memory = new SharedArrayBuffer(HostRows.bytes);
    const threads = [new HostRows(memory), new HostRows(memory)];
    const model = new Map<number, { mark: number; failures: number; requests: number; successes: number }>();
    steps.forEach(({ slot, mark, what }, i) => {
      const rows = threads[i % 2] as HostRows;
      rows.claim(slot, mark);
      let known = model.get(slot);
      if (known?.mark !== mark) model.set(slot, (known = { mark, failures: 0, requests: 0, successes: 0 }));
      if (what === 'fail') {
        known.requests++;
        rows.count(slot, false);
        expect(rows.failedAgain(slot, consecutiveRows.serverErrors)).toBe(++known.failures);
      } else if (what === 'succeed') {
        known.requests++;
        known.successes++;
        known.failures = 0;
        rows.count(slot, true);
        rows.restart(slot, consecutiveRows.serverErrors);
      } else if (what === 'take') {
        expect(rows.takeVolume(slot)).toEqual({ requests: known.requests, successes: known.successes });
        known.requests = known.successes = 0;
      } else expect([rows.beginsInterval(slot, i + 1), rows.beginsInterval(slot, i + 1)]).toEqual([true, false]);
    });
  }));
});
