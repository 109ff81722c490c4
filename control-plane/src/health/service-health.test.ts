import { expect, test } from 'vitest';
import { HeldStates } from '../telemetry/held-states.ts';
import { serviceHealth } from './service-health.ts';

const noon = Date.parse('2026-06-01T12:00:00Z');

function state(host: string, more: object = {}): Parameters<HeldStates['take']>[2][number] {
  return {
    kind: 'outlierDetection', event: 'ejected', service: 'payments', host, pointer: '/consecutive5xx', policy: 'baseline', detail: 'consecutive-5xx, 5 of 5', sinceMs: BigInt(noon - 5_000),
    untilMs: BigInt(noon + 25_000), ...more,
  };
}

test('callers, and what they hold: the same of several together, most held first', () => {
  const held = new HeldStates();
  held.take('web-1', 'service/web', [state('10.0.0.7:80'), state('', { kind: 'circuitBreaker', event: 'opened', pointer: '/consecutiveFailures', policy: '', untilMs: 0n })], noon);
  held.take('web-2', 'service/web', [state('10.0.0.7:80', { sinceMs: BigInt(noon - 9_000), untilMs: BigInt(noon + 60_000) })], noon);
  held.take('batch-1', 'service/batch', [state('10.0.0.7:80', { service: 'orders' })], noon);
  const connected = ['web', 'web', 'web', 'batch', 'payments'].map((name) => ({ subject: `service/${name}`, connected: true }));
  const view = serviceHealth({ service: 'payments', callers: ['service/web', 'service/batch'], sidecars: connected, held: held.current({ sinceMs: 0, wallMs: noon }) });
  expect(view.callers).toEqual([{ caller: 'service/batch', instances: 1, troubled: 0 }, { caller: 'service/web', instances: 3, troubled: 2 }]);
  expect(view.troubles.map(({ by: _by, ...trouble }) => trouble)).toEqual([
    {
      kind: 'outlierDetection', event: 'ejected', host: '10.0.0.7:80', held: 2, of: 4, pointer: '/consecutive5xx', policies: ['baseline'], detail: 'consecutive-5xx, 5 of 5',
      since: '2026-06-01T11:59:51.000Z', until: '2026-06-01T12:01:00.000Z',
    },
    { kind: 'circuitBreaker', event: 'opened', host: '', held: 1, of: 4, pointer: '/consecutiveFailures', policies: [''], detail: 'consecutive-5xx, 5 of 5', since: '2026-06-01T11:59:55.000Z', until: null },
  ]);
  expect(view.troubles[0]?.by.map(({ nodeId }) => nodeId)).toEqual(['web-2', 'web-1']);
});

test('what is over, and what was said too long ago, holds no more', () => {
  const held = new HeldStates();
  held.take('web-1', 'service/web', [state('10.0.0.7:80')], noon);
  const hosts = (sinceMs: number, wallMs: number): string[] => held.current({ service: 'payments', sinceMs, wallMs }).map(({ host }) => host);
  expect([hosts(noon, noon), hosts(noon + 1, noon), hosts(0, noon + 25_000)]).toEqual([['10.0.0.7:80'], [], []]);
  held.take('web-1', 'service/web', [], noon);
  expect(hosts(0, noon)).toEqual([]);
});

test('one sidecar cannot fill the memory', () => {
  const held = new HeldStates();
  held.take('web-1', 'service/web', Array.from({ length: 2_000 }, (_, i) => state(String(i))), noon);
  expect([held.current({ sinceMs: 0, wallMs: noon }).length, held.leftOut]).toEqual([1_024, 976]);
});
