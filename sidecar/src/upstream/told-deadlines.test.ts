import { makeExchange } from '@remora/testing/exchange-driver';
import { newCall, RecordingSource } from '@remora/testing/layer-driver';
import { ManualClock } from '@remora/testing/manual-clock';
import type { Side } from '@remora/policy-kit/exchange';
import { expect, test } from 'vitest';
import { tellDeadlines } from './told-deadlines.ts';

test.each<{ name: string; side?: Side; told?: string; waitedMs: number; attemptAfterMs?: number; expected: string }>([
  { name: 'nothing where nobody said anything', waitedMs: 100, expected: '' },
  { name: 'the same where a connection was there', told: '500', waitedMs: 1, expected: '500' },
  { name: 'less what the attempt has waited', told: '500', waitedMs: 120, expected: '380' },
  { name: 'nothing of what was before the attempt, which the layers have taken off', told: '500', waitedMs: 120, attemptAfterMs: 100, expected: '480' },
  { name: 'on the way to the own app, less what filters have taken', side: 'inbound', told: '500', waitedMs: 120, attemptAfterMs: 100, expected: '380' },
  { name: 'a millisecond where it is over', told: '50', waitedMs: 120, expected: '1' },
  { name: 'what is no number as it came', told: 'soon', waitedMs: 120, expected: 'soon' },
])('the next hop is told $name', ({ side = 'outbound', told, waitedMs, attemptAfterMs = 0, expected }) => {
  const clock = new ManualClock();
  const x = makeExchange({ side, request: { method: 'GET', authority: 'payments', target: '/', headers: told === undefined ? {} : { 'x-remora-deadline': told } } }, { clock });
  tellDeadlines(newCall(x, new RecordingSource()), x.startedAt + attemptAfterMs, x.startedAt + waitedMs);
  const lines: string[] = [];
  x.head.forEach((name, value) => { if (name === 'x-remora-deadline') lines.push(value); });
  expect(lines.join()).toBe(expected);
});

test('the deadline of gRPC is what is left of it, or of the call', () => {
  const clock = new ManualClock();
  const x = makeExchange({ request: { method: 'POST', authority: 'payments', target: '/', headers: { 'grpc-timeout': '2S' } } }, { clock });
  x.grpcDeadlineAt = x.startedAt + 2000;
  tellDeadlines(newCall(x, new RecordingSource()), x.startedAt, x.startedAt + 300);
  const told = (): string => {
    let text = '';
    x.head.forEach((name, value) => { if (name === 'grpc-timeout') text = value; });
    return text;
  };
  expect(told()).toBe('1700m');
  tellDeadlines({ ...newCall(x, new RecordingSource()), deadlineAt: x.startedAt + 1000 }, x.startedAt, x.startedAt + 300);
  expect(told()).toBe('700m');
});
