import fc from 'fast-check';
import { expect, it } from 'vitest';
import { frame } from '../testdata/tunnel-ends.ts';
import { WebSocketMeter } from './web-socket-meter.ts';

const frames = fc.array(fc.record({
  opcode: fc.constantFrom(0, 1, 2, 8, 9, 10), fin: fc.boolean(), mask: fc.boolean(), length: fc.oneof(fc.nat(200), fc.constantFrom(0, 125, 126, 127, 65_535, 65_536, 70_000)),
}), { maxLength: 12 });

it('counts messages and finds the ends of frames, however the bytes are cut', () => {
  fc.assert(fc.property(frames, fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }), (all, cuts) => {
    const bytes = Buffer.concat(all.map(({ opcode, length, ...rest }) => frame(opcode, Buffer.alloc(length, 0x55), rest)));
    const meter = new WebSocketMeter();
    for (let at = 0, nth = 0; at < bytes.length; nth++) {
      const to = Math.min(bytes.length, at + (cuts[nth % cuts.length] ?? 1));
      expect(meter.feed(bytes, at, to, false)).toBe(to);
      at = to;
    }
    expect(meter.atBoundary).toBe(true);
    expect(meter.messages).toBe(all.filter(({ opcode, fin }) => fin && opcode < 8).length);
  }), { numRuns: 300 });
});

it('stops where the first frame ends', () => {
  fc.assert(fc.property(frames, fc.nat(), (all, seed) => {
    const parts = all.map(({ opcode, length, ...rest }) => frame(opcode, Buffer.alloc(length, 0x55), rest));
    const bytes = Buffer.concat(parts);
    if (bytes.length === 0) return;
    const from = seed % bytes.length;
    const meter = new WebSocketMeter();
    meter.feed(bytes, 0, from, false);
    let end = 0;
    for (const part of parts) if (end <= from) end += part.length;
    expect(meter.feed(bytes, from, bytes.length, true)).toBe(end);
    expect(meter.atBoundary).toBe(true);
  }), { numRuns: 300 });
});

it('takes the longest frame there is for one, and stays in it', () => {
  const meter = new WebSocketMeter();
  meter.feed(Buffer.from([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]), 0, 10, false);
  meter.feed(Buffer.alloc(100_000), 0, 100_000, false);
  expect(meter.atBoundary).toBe(false);
  expect(meter.messages).toBe(0);
});
