import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { systemClock } from '@remora/core/clock';
import { expect, test } from 'vitest';
import { monotonicOriginMs, threadClock } from './thread-clock.ts';

/** Clocks are read to the nanosecond; the difference of two readings of different clocks is known to less than this. */
const readingMs = 5;

test('the time of data threads is that of the thread which took the origin', () => {
  const clock = threadClock(monotonicOriginMs());
  const before = systemClock.monotonicMs();
  const between = clock.monotonicMs();
  const after = systemClock.monotonicMs();
  expect(between).toBeGreaterThan(before - readingMs);
  expect(between).toBeLessThan(after + readingMs);
});

test('and so it is in another thread, whose own time begins with itself', async () => {
  const originMs = monotonicOriginMs();
  const worker = new Worker(`
    import { parentPort } from 'node:worker_threads';
    import { threadClock } from ${JSON.stringify(new URL('thread-clock.ts', import.meta.url).href)};
    parentPort.postMessage(threadClock(${originMs}).monotonicMs());
  `, { eval: true });
  const before = systemClock.monotonicMs();
  const [theirs] = await once(worker, 'message') as [number];
  expect(theirs).toBeGreaterThan(before - readingMs);
  expect(theirs).toBeLessThan(systemClock.monotonicMs() + readingMs);
});
