import { seededRandom } from '@remora/core/random';
import type { QueryReply } from '@remora/proto/gen/remora/push/v1/push';
import type { Batch } from '@remora/proto/gen/remora/telemetry/v1/telemetry';
import { ManualTimers } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import type { RefusalRecord, SeriesReading } from '../threads/data-plane.ts';
import { RefusalRing, refusalsKept } from './refusal-ring.ts';
import { boundSeries, overflowRoute } from './series-bound.ts';
import { TelemetrySender } from './telemetry-sender.ts';
import type { TelemetryConnector, TelemetryStreamHandlers } from './telemetry-stream.ts';

export function refusal(requestId: string, more: Partial<RefusalRecord> = {}): RefusalRecord {
  return {
    requestId, atMs: 1, side: 'inbound', method: 'GET', authority: 'orders', path: '/', route: '', destination: '', target: '', status: 429, reason: 'rate-limited', responseFlag: 'RL',
    kind: 'rateLimit', pointer: '/limits/perIp', policy: 'public-api', configVersion: '7.41', configHash: 'ab', detail: '', clientAddress: '127.0.0.1', traceId: 'a'.repeat(32), shadow: false, ...more,
  };
}

function series(route: string, requests: number): SeriesReading {
  return {
    side: 'inbound', route, destination: '', target: '', requests, statusClasses: [0, 0, requests, 0, 0, 0], codes: new Map([[200, requests]]), grpcCodes: [], bytesIn: 1, bytesOut: 2,
    latency: { counts: [0, requests], sum: requests, max: 1 }, refusals: [{ reason: 'x', kind: 'k', policy: 'p', shadow: false, count: 1 }], retries: 0, active: 1,
    tunnels: { opened: 0, active: 0, messagesIn: 0, messagesOut: 0 },
  };
}

class Script implements TelemetryConnector {
  batches: Batch[] = [];
  replies: QueryReply[] = [];
  handlers: TelemetryStreamHandlers[] = [];
  closed = 0;

  connect(_address: string, handlers: TelemetryStreamHandlers): ReturnType<TelemetryConnector['connect']> {
    this.handlers.push(handlers);
    return {
      sendBatch: (batch) => this.batches.push(batch),
      sendReply: (reply) => this.replies.push(reply),
      close: () => { this.closed++; },
    };
  }
}

function start(address: () => string | null = () => 'a:1'): { timers: ManualTimers; script: Script; sender: TelemetrySender } {
  const timers = new ManualTimers();
  const script = new Script();
  const sender = new TelemetrySender({
    connector: script, address, node: { nodeId: 'n', incarnation: 1, subject: { kind: 'service', name: 'orders' } },
    readSeries: () => [series('', 3)], answer: () => Promise.resolve('x'.repeat(300_000)), intervalMs: 10_000, clock: timers.clock, timers, random: seededRandom(3),
  });
  sender.start();
  return { timers, script, sender };
}

describe('the sender', () => {
  test('sends cumulative series each interval, refusals once', async () => {
    const { timers, script, sender } = start();
    sender.refusal(refusal('r1'));
    await timers.advance(10_000);
    expect(script.batches[0]).toMatchObject({ sequence: 1n, series: [{ requests: 3n }], refusals: [{ requestId: 'r1', configEpoch: 7n, configIndex: 41n }] });
    script.handlers[0]?.onAck(1);
    await timers.advance(10_000);
    expect(script.batches[1]).toMatchObject({ sequence: 2n, series: [{ requests: 3n }], refusals: [] });
  });

  test('without contact opens nothing and keeps the newest refusals', async () => {
    let address: string | null = null;
    const { timers, script, sender } = start(() => address);
    for (let i = 0; i < 3_000; i++) sender.refusal(refusal(`r${i}`));
    for (let i = 0; i < 600; i++) sender.event('e', `${i}`);
    await timers.advance(30_000);
    expect(script.handlers).toHaveLength(0);
    expect(sender.status).toMatchObject({ connected: false, droppedRefusals: 1_000, droppedEvents: 100 });
    address = 'a:1';
    await timers.advance(10_000);
    expect(script.batches[0]?.refusals[0]?.requestId).toBe('r1000');
    expect(script.batches[0]?.refusals).toHaveLength(500);
    expect(script.batches[0]?.events[0]?.message).toBe('100');
  });

  test('an unacknowledged batch is not followed by another; silence ends the stream, and what was in it is sent again', async () => {
    const { timers, script, sender } = start();
    sender.refusal(refusal('r1'));
    await timers.advance(40_000);
    expect(script.batches).toHaveLength(1);
    expect(script.closed).toBe(1);
    expect(sender.status).toMatchObject({ droppedBatches: 3, lastEnd: 'no acknowledgement' });
    await timers.advance(60_000);
    expect(script.batches[1]).toMatchObject({ refusals: [{ requestId: 'r1' }], droppedBatches: 3n });
  });

  test('an answer beyond the limit becomes an error', async () => {
    const { timers, script } = start();
    await timers.advance(10_000);
    script.handlers[0]?.onQuery({ id: 9n, timeoutMs: 1, question: { $case: 'why', value: { requestId: 'x' } } });
    await timers.advance(0);
    expect(script.replies).toMatchObject([{ id: 0n }, { id: 9n, json: '', error: 'the answer has more than 262144 bytes' }]);
  });
});

test('series beyond the bound are added up, and no count is lost', () => {
  const readings = Array.from({ length: 50 }, (_, i) => series(`r${i}`, i));
  const bound = boundSeries(readings, 10);
  expect(bound).toHaveLength(11);
  const total = (list: readonly SeriesReading[]): number => list.reduce((sum, each) => sum + each.requests + (each.codes.get(200) ?? 0) + (each.statusClasses[2] ?? 0) + (each.latency.counts[1] ?? 0), 0);
  expect(total(bound)).toBe(total(readings));
  expect(bound.at(-1)).toMatchObject({ route: overflowRoute, side: 'inbound', refusals: [{ count: 40 }] });
});

test('the ring keeps the last refusals, newest first', () => {
  const ring = new RefusalRing();
  expect(ring.newest(10)).toEqual([]);
  for (let i = 0; i < refusalsKept + 5; i++) ring.add(refusal(`r${i}`));
  expect(ring.newest(2).map(({ requestId }) => requestId)).toEqual([`r${refusalsKept + 4}`, `r${refusalsKept + 3}`]);
  expect(ring.of('r4')).toEqual([]);
  expect(ring.of('r5')).toHaveLength(1);
  expect(ring.total).toBe(refusalsKept + 5);
});
