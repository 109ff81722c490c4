import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { asText } from '../byte-text.ts';
import { FrameReader, frameBadPadding, frameData, frameMore, framePayload, frameTooLarge } from './frame-reader.ts';
import { frameFlag, frameType } from './frame-type.ts';
import { frame } from './testdata/frame-bytes.ts';

interface Read {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  payload: string;
  flowBytes: number;
}

/** Frames as they are read from `cuts` of the input; pieces of DATA put together. */
function readAll(input: Buffer, cuts: readonly number[]): { readonly frames: Read[]; readonly verdict: number; readonly settled: boolean } {
  const reader = new FrameReader(16_384);
  const frames: Read[] = [];
  let open: Read | null = null;
  for (let at = 0, n = 0; at < input.length; n++) {
    const piece = asText(Uint8Array.from(input.subarray(at, at + (cuts[n % cuts.length] as number))));
    at += piece.length;
    for (let from = 0; ;) {
      const event = reader.read(piece, from, piece.length);
      from = reader.used;
      if (event === frameMore) break;
      if (event !== frameData && event !== framePayload) return { frames, verdict: event, settled: reader.settled };
      const text = reader.payload.toString('latin1', reader.payloadAt, reader.payloadEnd);
      open ??= { type: reader.type, flags: reader.flags, streamId: reader.streamId, payload: '', flowBytes: 0 };
      open.payload += text;
      if (event === frameData) open.flowBytes += reader.flowBytes;
      if (event === frameData && !reader.frameDone) continue;
      frames.push(open);
      open = null;
    }
  }
  return { frames, verdict: frameMore, settled: reader.settled };
}

const anyFrame = fc.record({ type: fc.constantFrom(0, 0, 0, 1, 4, 6, 9, 77), flags: fc.constantFrom(0, 1, 4, 9), streamId: fc.nat(2 ** 31 - 1), payload: fc.uint8Array({ maxLength: 400 }), padding: fc.nat(255) });

test('frames are the same from every cut, and padding counts for flow control only', () => {
  fc.assert(fc.property(fc.array(anyFrame, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 12 }), (frames, cuts) => {
    const input = Buffer.concat(frames.map(({ type, flags, streamId, payload, padding }) => {
      const padded = type === frameType.data && (flags & frameFlag.padded) !== 0;
      return frame(type, flags, streamId, padded ? Buffer.concat([Buffer.from([padding]), payload, Buffer.alloc(padding)]) : payload);
    }));
    const read = readAll(input, cuts);
    expect(read).toMatchObject({ verdict: frameMore, settled: true });
    expect(read.frames).toEqual(frames.map(({ type, flags, streamId, payload, padding }) => {
      const padded = type === frameType.data && (flags & frameFlag.padded) !== 0;
      return { type, flags, streamId, payload: Buffer.from(payload).toString('latin1'), flowBytes: type === frameType.data ? payload.length + (padded ? padding + 1 : 0) : 0 };
    }));
  }));
});

test.each([
  ['larger than announced', frame(1, 0, 1, Buffer.alloc(16_385)), frameTooLarge], ['with more padding than payload', frame(0, frameFlag.padded, 1, Buffer.from([3, 1, 1])), frameBadPadding],
  ['without its padding\'s length', frame(0, frameFlag.padded, 1), frameBadPadding],
])('a frame %s is refused at every cut', (_, bytes, verdict) => {
  for (const cut of [1, 2, 9, 10, 20_000]) expect(readAll(bytes, [cut]).verdict).toBe(verdict);
});

test('an incomplete frame that is not DATA says so', () => {
  expect(readAll(frame(1, 0, 1, Buffer.alloc(20)).subarray(0, 4), [4]).settled).toBe(false);
  expect(readAll(frame(1, 0, 1, Buffer.alloc(20)).subarray(0, 15), [15]).settled).toBe(false);
  expect(readAll(frame(0, 0, 1, Buffer.alloc(20)).subarray(0, 15), [15]).settled).toBe(true);
});
