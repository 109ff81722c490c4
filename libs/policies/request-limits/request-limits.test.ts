import type { JsonObject } from '@remora/core/canonical-json';
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

function send(bodyBytes: string, pieces: readonly number[]): { heard: string[]; bytes: number; answers: Answer[] } {
  return sendThrough({ bodyBytes }, pieces.map((length) => new Uint8Array(length)));
}

/** Sends a body in pieces through the filter's sink, and writes down what the next sink and the source hear. */
function sendThrough(section: JsonObject, pieces: readonly Uint8Array[], headers: Record<string, string> = {}): { heard: string[]; bytes: number; answers: Answer[] } {
  const context = new TestFilterContext('requestLimits');
  const filter = requestLimitsRuntime.edge?.(requestLimitsRuntime.decode(requestLimitsAuthoring.compile(effectiveSection(requestLimitsAuthoring, section)).body), context);
  const x = makeExchange({ request: { method: 'POST', authority: 'orders', target: '/', bodyLength: -1, headers } }, context);
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
  pieces.forEach((piece, i) => sink?.data(piece, 0, piece.length, i === pieces.length - 1));
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

describe('gRPC messages', () => {
  const grpc = { 'content-type': 'application/grpc+proto' };
  const messages = (...lengths: readonly number[]): Buffer => Buffer.concat(lengths.map((length) => {
    const message = Buffer.alloc(5 + length, 1);
    message.writeUInt32BE(length, 1);
    return message;
  }));

  test('pass up to the limit each, however many they are and however they are cut', () => {
    fc.assert(fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (lengths, cuts) => {
      const body = messages(...lengths);
      const pieces: Buffer[] = [];
      for (let at = 0, i = 0; at < body.length; at += cuts[i % cuts.length] ?? 1, i++) pieces.push(body.subarray(at, at + (cuts[i % cuts.length] ?? 1)));
      const { bytes, answers, heard } = sendThrough({ grpcMessageBytes: '10B' }, pieces, grpc);
      const allowed = lengths.every((length) => length <= 10);
      expect(answers.map(({ reason }) => reason.code)).toEqual(allowed ? [] : ['grpc-message-too-large']);
      expect(heard.includes('end')).toBe(allowed);
      const before = lengths.slice(0, lengths.findIndex((length) => length > 10));
      expect(bytes).toBeLessThanOrEqual(allowed ? body.length : messages(...before).length + 5);
    }));
  });

  test('a length of 32 bits is read as such', () => {
    expect(sendThrough({ grpcMessageBytes: '1GiB' }, [Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1])], grpc).answers).toHaveLength(1);
  });

  test('and the whole body both have their limits', () => {
    expect(sendThrough({ grpcMessageBytes: '10B', bodyBytes: '25B' }, [messages(5, 5, 5)], grpc).answers.map(({ reason }) => reason.code)).toEqual(['body-too-large']);
    expect(sendThrough({ grpcMessageBytes: '4B', bodyBytes: '25B' }, [messages(5)], grpc).answers.map(({ reason }) => reason.code)).toEqual(['grpc-message-too-large']);
  });

  test.each(['application/json', 'application/grpc-web-text', 'application/connect+proto'])('of %s are none', (type) => {
    const context = new TestFilterContext('requestLimits');
    const filter = requestLimitsRuntime.edge?.({ ...defaultRequestLimits, grpcMessageBytesMax: 1 }, context);
    const x = makeExchange({ request: { method: 'POST', authority: 'orders', target: '/', bodyLength: -1, headers: { 'content-type': type } } }, context);
    expect(filter?.request?.(x)).toBeNull();
    expect(x.wantsRequestBody).toBe(0);
  });
});
