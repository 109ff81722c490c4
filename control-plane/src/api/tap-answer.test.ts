import { expect, test } from 'vitest';
import { readTapAnswer } from './tap-answer.ts';

const request = { atMs: Date.UTC(2026, 10, 22, 12), side: 'inbound', method: 'GET', authority: 'orders', path: '/', route: 'all', destination: '', upstream: '', status: 200, grpcStatus: -1, reason: '', attempts: 1, durationMs: 2.5, requestId: 'r-1', caller: '10.0.0.7' };

test('what a sidecar says has ended', () => {
  const { atMs: _, ...rest } = request;
  expect(readTapAnswer({ requests: [request], skipped: 2 })).toEqual({ requests: [{ at: '2026-11-22T12:00:00.000Z', ...rest }], skipped: 2 });
});

test('of a sidecar that says something else what can be read is shown, and nothing breaks', () => {
  expect(readTapAnswer({ requests: [{ ...request, atMs: -1, path: 'x'.repeat(2_000), status: 'ok', secret: 'y' }] })).toMatchObject({ requests: [{ at: '1970-01-01T00:00:00.000Z', path: '', status: 0, method: 'GET' }], skipped: 0 });
  expect(JSON.stringify(readTapAnswer({ requests: [{ ...request, secret: 'y' }] }))).not.toContain('secret');
  for (const raw of [null, 'text', [], { requests: 'none' }, { requests: [null] }]) expect(readTapAnswer(raw)).toEqual({ requests: [], skipped: 0 });
});
