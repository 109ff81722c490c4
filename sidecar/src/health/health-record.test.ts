import { ManualClock } from '@remora/testing/manual-clock';
import { expect, test } from 'vitest';
import type { ReportedHealth } from '../records/health-batch.ts';
import { HealthRecord } from './health-record.ts';

const clock = new ManualClock();

function event(what: string, host = '10.0.0.7:80', more: Partial<ReportedHealth> = {}): ReportedHealth {
  return { kind: 'outlierDetection', event: what, service: 'payments', host, pointer: '/consecutive5xx', policy: 'baseline', detail: 'consecutive-5xx, 5 of 5', untilMs: 0, ...more };
}

function held(record: HealthRecord): string[] {
  return record.current().map(({ kind, event: what, host }) => `${kind} ${what} ${host}`.trim());
}

test('a state holds until another event of the same kind, service and host', () => {
  const record = new HealthRecord(clock);
  record.add(event('ejected'));
  record.add(event('ejected', '10.0.0.8:80'));
  record.add(event('opened', '', { kind: 'circuitBreaker' }));
  record.add(event('half-open', '', { kind: 'circuitBreaker' }));
  expect(held(record)).toEqual(['outlierDetection ejected 10.0.0.7:80', 'outlierDetection ejected 10.0.0.8:80', 'circuitBreaker half-open']);
  record.add(event('returned'));
  record.add(event('closed', '', { kind: 'circuitBreaker' }));
  expect(held(record)).toEqual(['outlierDetection ejected 10.0.0.8:80']);
  expect(record.newest(2).map(({ event: what }) => what)).toEqual(['closed', 'returned']);
});

test('a state with an end goes by itself, on the clock of the wall', () => {
  const record = new HealthRecord(clock);
  record.add(event('ejected', '10.0.0.7:80', { untilMs: clock.monotonicMs() + 30_000 }));
  expect(record.current()[0]?.untilMs).toBe(clock.wallMs() + 30_000);
  clock.advance(30_000);
  expect(record.current()).toEqual([]);
});

test('a state that is renewed holds longer, since it began, and is told once', () => {
  const told: string[] = [];
  const record = new HealthRecord(clock, ({ event: what }) => told.push(what));
  const shedding = (renews: boolean): void => record.add(event('shedding', '', { kind: 'concurrency', untilMs: clock.monotonicMs() + 11_000, renews }));
  const beganMs = clock.wallMs();
  shedding(false);
  clock.advance(8_000);
  shedding(true);
  clock.advance(10_999);
  expect(record.current()).toMatchObject([{ event: 'shedding', sinceMs: beganMs, untilMs: clock.wallMs() + 1 }]);
  clock.advance(1);
  expect([record.current(), record.newest(10).length, told]).toEqual([[], 1, ['shedding']]);
});

test('what is told of a moment is no state', () => {
  const record = new HealthRecord(clock);
  record.add(event('would-eject'));
  expect([record.current(), record.newest(10).length]).toEqual([[], 1]);
});

test('of too many states and events the oldest go, counted', () => {
  const told: string[] = [];
  const record = new HealthRecord(clock, ({ host }) => told.push(host));
  record.report({ events: Array.from({ length: 1_030 }, (_, i) => event('ejected', String(i))), dropped: 2 });
  expect([record.current().length, record.current()[0]?.host, record.newest(1_000).length, record.dropped, told.length]).toEqual([1_024, '6', 500, 8, 1_030]);
});

test('states that hold beside each other end each on their own; verdicts in shadow hold nothing', () => {
  const record = new HealthRecord(clock);
  const about = { kind: 'loadBalancing' };
  record.add(event('panic', '', about));
  record.add(event('failover', '', about));
  expect(held(record)).toEqual(['loadBalancing panic', 'loadBalancing failover']);
  record.add(event('failover-ended', '', about));
  record.add(event('would-be-opened', '', { kind: 'circuitBreaker' }));
  record.add(event('exhausted', '', { kind: 'retry' }));
  record.add(event('replenished', '', { kind: 'retry' }));
  expect(held(record)).toEqual(['loadBalancing panic']);
});

test('what is held against one service, newest first, changes with each event and each end', () => {
  const record = new HealthRecord(clock);
  record.add(event('ejected', '10.0.0.7:80', { untilMs: clock.monotonicMs() + 1_000 }));
  record.add(event('opened', '', { kind: 'circuitBreaker' }));
  record.add(event('ejected', '10.0.0.9:80', { service: 'ledger' }));
  const kinds = (): string[] => record.heldAgainst('payments').map(({ kind }) => kind);
  expect(kinds()).toEqual(['circuitBreaker', 'outlierDetection']);
  expect(record.heldAgainst('payments')).toBe(record.heldAgainst('payments'));
  clock.advance(1_000);
  expect(kinds()).toEqual(['circuitBreaker']);
  record.add(event('closed', '', { kind: 'circuitBreaker' }));
  expect(kinds()).toEqual([]);
});

test('what would hold for ever against a service that is no destination any more is over; what ends by itself, and what is held against others, goes on', () => {
  const record = new HealthRecord(clock);
  record.add(event('panic', '', { kind: 'loadBalancing', service: 'gone' }));
  record.add(event('unhealthy', '10.0.0.7:80', { kind: 'healthCheck', service: 'gone' }));
  record.add(event('ejected', '10.0.0.7:80', { service: 'gone', untilMs: clock.monotonicMs() + 30_000 }));
  record.add(event('panic', '', { kind: 'loadBalancing' }));
  record.add(event('shedding', '', { kind: 'concurrency', service: 'web:admin' }));
  record.keepServices(new Set(['payments', 'web']));
  expect(record.current().map(({ service, event: what }) => `${service} ${what}`)).toEqual(['gone ejected', 'payments panic', 'web:admin shedding']);
  expect(record.newest(2).map(({ kind, event: what, service }) => `${service} ${kind} ${what}`).sort()).toEqual(['gone healthCheck ended', 'gone loadBalancing panic-ended']);
  record.keepServices(new Set(['payments', 'web']));
  expect(record.newest(500)).toHaveLength(7);
});
