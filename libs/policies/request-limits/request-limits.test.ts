import type { Reason } from '@remora/errors/reason';
import type { Answer, Sink, Source } from '@remora/policy-kit/exchange';
import { effectiveSection } from '@remora/testing/effective-section';
import { makeExchange } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { requestLimitsAuthoring } from './compile.ts';
import { requestLimitsRuntime } from './filter.ts';
import { defaultRequestLimits } from './wire.ts';

testKindCases(import.meta.dirname, requestLimitsAuthoring, requestLimitsRuntime);

test('the defaults before the first snapshot are those of the kind', () => {
  const body = requestLimitsAuthoring.compile(effectiveSection(requestLimitsAuthoring, {})).body;
  expect(requestLimitsRuntime.decode(body)).toEqual(defaultRequestLimits);
});

/** Sends a body in pieces through the filter's sink, and writes down what the next sink and the source hear. */
function send(bodyBytes: string, pieces: readonly number[]): { heard: string[]; bytes: number; answers: Answer[] } {
  const context = new TestFilterContext('requestLimits');
  const filter = requestLimitsRuntime.edge?.(requestLimitsRuntime.decode(requestLimitsAuthoring.compile(effectiveSection(requestLimitsAuthoring, { bodyBytes })).body), context);
  const x = makeExchange({ request: { method: 'POST', authority: 'orders', target: '/', bodyLength: -1 } }, context);
  expect(filter?.request?.(x)).toBeNull();
  expect(x.wantsRequestBody).toBe(context.bodyBit);
  const heard: string[] = [];
  const answers: Answer[] = [];
  let bytes = 0;
  x.answer = (_token, answer) => void answers.push(answer);
  const next: Sink = {
    bind: () => void heard.push('bind'),
    info: () => {},
    head: () => {},
    data: (_bytes, at, to, end) => {
      bytes += to - at;
      if (end) heard.push('end');
      return true;
    },
    trailers: () => void heard.push('trailers'),
    reset: (reason: Reason) => void heard.push(`reset ${reason.code}`),
  };
  const source: Source = { resume: () => {}, stop: (reason) => void heard.push(`stop ${reason.code}`) };
  const sink = filter?.requestBody?.(x, next);
  sink?.bind(source);
  pieces.forEach((length, i) => sink?.data(new Uint8Array(length), 0, length, i === pieces.length - 1));
  return { heard, bytes, answers };
}

describe('a body of unknown length', () => {
  test('passes up to the limit', () => {
    expect(send('10B', [4, 6])).toEqual({ heard: ['bind', 'end'], bytes: 10, answers: [] });
  });

  test('is stopped in both directions and answered beyond it, and nothing follows', () => {
    const { heard, bytes, answers } = send('10B', [4, 6, 1, 5]);
    expect(heard).toEqual(['bind', 'reset body-too-large', 'stop body-too-large']);
    expect(bytes).toBe(10);
    expect(answers.map((answer) => answer.status)).toEqual([413]);
  });

  test('however it is cut', () => {
    fc.assert(fc.property(fc.array(fc.nat(8), { minLength: 1, maxLength: 10 }), (pieces) => {
      const total = pieces.reduce((sum, piece) => sum + piece, 0);
      const { bytes, answers } = send('10B', pieces);
      expect(answers.length).toBe(total > 10 ? 1 : 0);
      expect(bytes).toBeLessThanOrEqual(10);
    }));
  });
});
