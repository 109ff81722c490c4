import { expect, test } from 'vitest';
import { OpenTaps } from './open-taps.ts';
import { TapStream, tapQueuedBytesMax } from './tap-stream.ts';

function makeStream(): { readonly stream: TapStream; readonly told: () => string[]; readonly stall: (stalled: boolean) => void; readonly taps: OpenTaps } {
  const taps = new OpenTaps();
  let text = '';
  let queued = 0;
  const stream = new TapStream({ queued: () => queued, write: (more) => void (text += more), skipped: (requests) => taps.leftOut(requests) });
  return { stream, taps, told: () => text.split('\n\n').filter(Boolean).map((one) => one.replace('\ndata: ', ' ')), stall: (stalled) => void (queued = stalled ? tapQueuedBytesMax + 1 : 0) };
}

/**
 * Symptom: whoever read a tap slowly saw some of the requests and nothing of those that were left out, and the stream could end without its `end`. Cause: each event
 * beyond the bound was dropped alike. What is left out is counted, and told with the next that there is room for.
 */
test('a slow reader is told how many requests it missed when there is room again, and at the end', () => {
  const { stream, told, stall, taps } = makeStream();
  stream.answered('edge-1', { requests: [{ path: '/1' }], skipped: 0 });
  stall(true);
  stream.answered('edge-1', { requests: [{ path: '/2' }, { path: '/3' }], skipped: 4 });
  stream.silent('edge-2', 'too busy');
  expect(told()).toEqual(['event: request {"nodeId":"edge-1","path":"/1"}']);
  stall(false);
  stream.silent('edge-2', 'too busy');
  stream.silent('edge-2', 'too busy');
  stream.answered('edge-1', { requests: [], skipped: 0 });
  expect(told().slice(1)).toEqual(['event: silent {"nodeId":"edge-2","detail":"too busy"}', 'event: skipped {"nodeId":"edge-1","skipped":6}']);
  stall(true);
  stream.answered('edge-3', { requests: [{ path: '/4' }], skipped: 0 });
  stream.end(3);
  expect(told().slice(3)).toEqual(['event: skipped {"nodeId":"edge-3","skipped":1}', 'event: end {"seen":1,"sidecars":3}']);
  expect(taps.skipped).toBe(7);
});
