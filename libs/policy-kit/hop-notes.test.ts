import { buildRequestHead } from '@remora/http/head-builder';
import { expect, test } from 'vitest';
import { Exchange } from './exchange.ts';
import { HopNotes } from './hop-notes.ts';

function request(requestId: string, headers: Record<string, string> = {}): Exchange {
  const x = new Exchange();
  x.head = buildRequestHead({ method: 'GET', authority: 'payments', target: '/', headers });
  x.requestId = requestId;
  return x;
}

const trace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
const sameTrace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01' };

test('both sides know a request by its id or by its trace', () => {
  const notes = new HopNotes();
  notes.noteSpent(request('a', trace), 5000);
  expect([notes.isSpent(request('a'), 5000), notes.isSpent(request('b', sameTrace), 5000), notes.isSpent(request('b'), 5000), notes.isSpent(request(''), 5000)]).toEqual([true, true, false, false]);
});

test('what is a retry is not spent, and neither is known after a minute', () => {
  const notes = new HopNotes();
  notes.noteRetry(request('a'), 5000);
  expect([notes.isRetry(request('a'), 64_000), notes.isSpent(request('a'), 5000), notes.isRetry(request('a'), 65_001)]).toEqual([true, false, false]);
});

test('of a thousand requests at once few are lost, and of the newest none', () => {
  const notes = new HopNotes();
  const ids = Array.from({ length: 1000 }, (_, i) => `request-${i}`);
  for (const [i, id] of ids.entries()) notes.noteSpent(request(id), 1000 + i);
  expect(ids.filter((id) => !notes.isSpent(request(id), 2000)).length).toBeLessThan(60);
  expect(ids.slice(-100).every((id) => notes.isSpent(request(id), 2000))).toBe(true);
  expect(notes.isSpent(request('another'), 2000)).toBe(false);
});

test('threads see each other, once their memory is there', () => {
  const memory = { buffer: new SharedArrayBuffer(HopNotes.bytes) };
  const [one, other] = [new HopNotes(), new HopNotes()];
  one.use(memory);
  other.use(memory);
  one.noteSpent(request('a'), 1000);
  expect(other.isSpent(request('a'), 1000)).toBe(true);
});
