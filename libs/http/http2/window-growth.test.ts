import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildRequestHead } from '../head-builder.ts';
import { LongWay } from './testdata/long-way.ts';
import { request, SessionEnd, type RecordedStream } from './testdata/session-end.ts';
import { WindowBudget, type WindowEvent } from './window-budget.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const chunk = Buffer.alloc(64 * KiB, 'x');

interface Trial {
  readonly oneWayMs: number;
  readonly bytesPerMs: number;
  readonly budget?: WindowBudget | undefined;
}

/** Uploads over one connection; what the server's consumers take is up to the test. */
class Uploads {
  readonly client = new SessionEnd('client').start();
  readonly server: SessionEnd;
  readonly way: LongWay;
  readonly #sending: { readonly stream: RecordedStream; left: number; writable: number }[] = [];

  constructor({ oneWayMs, bytesPerMs, budget }: Trial) {
    this.server = new SessionEnd('server', {}, budget).start();
    this.server.accept = (one) => {
      one.stream.resume();
      return true;
    };
    this.way = new LongWay(this.client, this.server, { oneWayMs, bytesPerMs });
    for (let i = 0; i <= 2 * oneWayMs + 2; i++) this.way.step(() => {});
  }

  upload(bytes: number): RecordedStream {
    const head = buildRequestHead({ method: 'POST', authority: 'a', target: '/', headers: {} });
    head.bodyLength = -1;
    const stream = request(this.client, head, false);
    this.#sending.push({ stream, left: bytes, writable: -1 });
    return stream;
  }

  step(): void {
    this.way.step(() => {
      for (const one of this.#sending) {
        while (one.left > 0 && one.writable < one.stream.writable) {
          const length = Math.min(chunk.length, one.left);
          one.left -= length;
          if (!one.stream.stream.sendData(chunk, 0, length, one.left === 0)) one.writable = one.stream.writable;
        }
      }
      for (const one of this.server.requests) {
        if (one.ended && !one.stream.sendEnded) one.stream.sendHead(okHead(), true);
      }
    });
  }

  /** Milliseconds until all have come. */
  run(maxMs = 120_000): number {
    const from = this.way.nowMs;
    while (this.#sending.some(({ stream }) => stream.head === null && stream.reset === null)) {
      this.step();
      if (this.way.nowMs > from + maxMs) throw new Error('it does not end');
    }
    return this.way.nowMs - from;
  }
}

function okHead(): RecordedStream['head'] & object {
  const head = buildRequestHead({ method: 'GET', authority: 'a', target: '/', headers: {} });
  head.status = 204;
  return head;
}

const received = (one: RecordedStream | undefined): number => one?.body.reduce((sum, { length }) => sum + length, 0) ?? -1;

describe('the window of a long body', () => {
  it.each([
    { oneWayMs: 100, bytesPerMs: 100 * KiB, faster: 6 },
    { oneWayMs: 40, bytesPerMs: 100 * KiB, faster: 5 },
    { oneWayMs: 10, bytesPerMs: 100 * KiB, faster: 2.5 },
  ])('grows to what the way holds: $oneWayMs ms there, $bytesPerMs bytes a ms', ({ oneWayMs, bytesPerMs, faster }) => {
    const fixed = new Uploads({ oneWayMs, bytesPerMs });
    fixed.upload(32 * MiB);
    const budget = new WindowBudget(64 * MiB);
    const grown = new Uploads({ oneWayMs, bytesPerMs, budget });
    grown.upload(32 * MiB);
    expect(fixed.run() / grown.run()).toBeGreaterThan(faster);
    expect(received(grown.server.requests[0])).toBe(32 * MiB);
    expect(budget.peak).toBeLessThanOrEqual(4 * 2 * oneWayMs * bytesPerMs);
  });

  it('stays where the way is narrow: more of it would only wait', () => {
    const budget = new WindowBudget(64 * MiB);
    const uploads = new Uploads({ oneWayMs: 50, bytesPerMs: 2 * KiB, budget });
    uploads.upload(8 * MiB);
    uploads.run();
    // 200 KiB are on their way at most; a usual window holds them.
    expect(budget.peak).toBeLessThanOrEqual(256 * KiB);
  });

  it('stays on short ways, and for short bodies nothing is measured', () => {
    const budget = new WindowBudget(64 * MiB);
    const near = new Uploads({ oneWayMs: 0, bytesPerMs: 10 * MiB, budget });
    near.upload(32 * MiB);
    near.run();
    const short = new Uploads({ oneWayMs: 50, bytesPerMs: MiB, budget });
    for (let i = 0; i < 20; i++) short.upload(100 * KiB);
    short.run();
    expect(budget.peak).toBe(0);
    expect(short.server.session.counters.pingsOut).toBe(0);
  });

  it('is bounded for a connection, and for all that share the budget; what is taken comes back', () => {
    const events: WindowEvent[] = [];
    const budget = new WindowBudget(10 * MiB, (event) => events.push(event));
    const both = [0, 1].map(() => new Uploads({ oneWayMs: 150, bytesPerMs: 500 * KiB, budget }));
    for (const uploads of both) for (let i = 0; i < 4; i++) uploads.upload(30 * MiB);
    for (let i = 0; i < 2500; i++) {
      for (const uploads of both) uploads.step();
      expect(budget.used).toBeLessThanOrEqual(10 * MiB);
    }
    expect(budget.peak).toBeGreaterThan(6 * MiB);
    expect(events).toContain('refused');
    for (const { server } of both) server.session.peerClosed();
    expect(budget.used).toBe(0);
  });

  it('shrinks again where its consumer is slower than the way, so that little is held', () => {
    const budget = new WindowBudget(64 * MiB);
    const uploads = new Uploads({ oneWayMs: 100, bytesPerMs: 100 * KiB, budget });
    uploads.upload(200 * MiB);
    for (let i = 0; i < 2500; i++) uploads.step();
    expect(budget.used).toBeGreaterThan(2 * MiB);
    const [one] = uploads.server.requests;
    if (one === undefined) throw new Error('unreachable');
    one.takes = false;
    // From now on 10 KiB a ms are taken, a tenth of what could come.
    for (let i = 0; i < 6000; i++) {
      uploads.step();
      if (i % 2 === 0) one.stream.resume();
    }
    expect(uploads.server.session.counters.heldBytesPeak).toBeLessThanOrEqual(budget.peak + 256 * KiB);
    expect(uploads.server.session.counters.heldBytes).toBeLessThanOrEqual(2 * MiB);
    uploads.server.session.peerClosed();
    expect(budget.used).toBe(0);
  });

  it('never lets a byte be lost, nor the peer send more than it may, whatever consumers and streams do', () => {
    const act = fc.record({ stream: fc.nat(2), does: fc.constantFrom('hold', 'take', 'discard', 'reset', 'upload'), steps: fc.nat(400) });
    fc.assert(fc.property(fc.array(act, { maxLength: 20 }), fc.integer({ min: 0, max: 4 }), (acts, budgetMiB) => {
      const budget = new WindowBudget(budgetMiB * MiB);
      const uploads = new Uploads({ oneWayMs: 20, bytesPerMs: 100 * KiB, budget });
      for (let i = 0; i < 3; i++) uploads.upload(4 * MiB);
      const touched = new Set<RecordedStream>();
      for (const { stream, does, steps } of acts) {
        const one = uploads.server.requests[stream];
        if (one !== undefined) {
          if (does === 'hold') one.takes = false;
          if (does === 'discard' || does === 'reset') touched.add(one);
          if (does === 'discard') one.stream.discard();
          if (does === 'reset') one.stream.reset(8);
          if (does === 'take') {
            one.takes = true;
            one.stream.resume();
          }
        }
        if (does === 'upload') uploads.upload(MiB);
        for (let i = 0; i < steps; i++) uploads.step();
        expect(uploads.server.session.counters.heldBytes).toBeLessThanOrEqual(MiB + budgetMiB * MiB);
        expect(budget.used).toBeLessThanOrEqual(budget.bytesMax);
      }
      for (const one of uploads.server.requests) {
        one.takes = true;
        one.stream.resume();
      }
      for (const one of touched) if (!one.stream.closed && !one.stream.sendEnded) one.stream.sendHead(okHead(), true);
      uploads.run();
      expect(uploads.server.failure).toBe(null);
      expect(uploads.client.failure).toBe(null);
      for (const one of uploads.server.requests) if (!touched.has(one)) expect([4 * MiB, MiB]).toContain(received(one));
      uploads.server.session.peerClosed();
      expect(budget.used).toBe(0);
    }), { numRuns: 20 });
  });
});
