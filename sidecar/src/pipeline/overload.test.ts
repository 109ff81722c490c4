import { describe, expect, it } from 'vitest';
import { Overload, defaultOverloadThresholds, type OverloadReadings } from './overload.ts';

const calm: OverloadReadings = { delayMs: 5, memory: 0.5, connections: 0.1 };

/** Stages after each reading, 100 ms apart. */
function stagesOf(readings: readonly Partial<OverloadReadings>[]): string[] {
  const overload = new Overload(defaultOverloadThresholds);
  return readings.map((reading, i) => {
    overload.observe({ ...calm, ...reading }, i * 100);
    return overload.cause === '' ? String(overload.stage) : `${overload.stage} ${overload.cause}`;
  });
}

describe('overload', () => {
  it.each<[string, Partial<OverloadReadings>[], string[]]>([
    ['nothing is shed below the thresholds', [{ delayMs: 249 }, { delayMs: 249 }], ['0', '0']],
    ['a single long turn sheds nothing', [{ delayMs: 5000 }, {}, { delayMs: 5000 }, {}], ['0', '0', '0', '0']],
    ['two in a row do', [{ delayMs: 300 }, { delayMs: 300 }], ['0', '1 event-loop']],
    ['it rises to the lower of the two', [{ delayMs: 5000 }, { delayMs: 1200 }], ['0', '2 event-loop']],
    ['by memory up to closing at accept', [{ memory: 0.98 }, { memory: 0.98 }], ['0', '3 memory']],
    ['connections end keep-alive, and no more', [{ connections: 1 }, { connections: 1 }, { connections: 1 }], ['0', '1 connections', '1 connections']],
    ['the worst one is named', [{ memory: 0.95, delayMs: 300 }, { memory: 0.95, delayMs: 300 }], ['0', '2 memory']],
  ])('%s', (_what, readings, stages) => {
    expect(stagesOf(readings)).toEqual(stages);
  });

  it('falls by one stage for each second of calm, and not while readings stay near the threshold', () => {
    const overload = new Overload(defaultOverloadThresholds);
    overload.observe({ ...calm, memory: 0.98 }, 0);
    overload.observe({ ...calm, memory: 0.98 }, 100);
    overload.observe(calm, 200);
    expect(overload.stage).toBe(3);
    overload.observe(calm, 1200);
    expect(overload.stage).toBe(2);
    overload.observe(calm, 2200);
    overload.observe(calm, 3200);
    expect([overload.stage, overload.cause]).toEqual([0, '']);
  });

  it('holds its stage while readings stay just below', () => {
    const overload = new Overload(defaultOverloadThresholds);
    for (let i = 0; i < 100; i++) overload.observe({ ...calm, delayMs: i < 2 ? 300 : 240 }, i * 100);
    expect(overload.stage).toBe(1);
  });
});
