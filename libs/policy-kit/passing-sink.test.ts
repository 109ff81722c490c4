import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import { expect, test } from 'vitest';
import type { Sink, Source } from './exchange.ts';
import { PassingSink } from './passing-sink.ts';

test('everything goes on as it comes, and what the next one wants comes back', () => {
  const seen: unknown[][] = [];
  const wants = [true, false];
  const next: Sink = {
    bind: (...all) => void seen.push(['bind', ...all]),
    info: (...all) => void seen.push(['info', ...all]),
    head: (...all) => void seen.push(['head', ...all]),
    data: (...all) => {
      seen.push(['data', ...all]);
      return wants.shift() ?? true;
    },
    trailers: (...all) => void seen.push(['trailers', ...all]),
    reset: (...all) => void seen.push(['reset', ...all]),
  };
  const source: Source = { resume() {}, stop() {} };
  const [head, bytes] = [buildResponseHead({ status: 200 }), new Uint8Array(3)];
  const sink = new PassingSink(next);
  sink.bind(source);
  sink.info(head);
  sink.head(head, false);
  expect([sink.data(bytes, 1, 2, false), sink.data(bytes, 0, 3, true)]).toEqual([true, false]);
  sink.trailers(head);
  sink.reset(reasons.upstreamReset);
  expect(seen).toEqual([
    ['bind', source], ['info', head], ['head', head, false], ['data', bytes, 1, 2, false], ['data', bytes, 0, 3, true], ['trailers', head], ['reset', reasons.upstreamReset],
  ]);
});
