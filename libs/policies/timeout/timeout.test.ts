import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import type { ExchangeStep } from '@remora/testing/exchange-driver';
import { describe, expect, test } from 'vitest';
import { timeoutAuthoring } from './compile.ts';
import { timeoutRuntime } from './filter.ts';
import type { TimeoutSettings } from './wire.ts';

testKindCases(import.meta.dirname, timeoutAuthoring, timeoutRuntime);

const settings: TimeoutSettings = { connectMs: 1000, requestMs: 15_000, idleMs: 60_000, perTryMs: 0, tunnelIdleMs: 3_600_000, maxStreamMs: 0 };

function drive(overrides: Partial<TimeoutSettings>, step: Partial<ExchangeStep> & { headers?: Record<string, string> } = {}, spentMs = 0): LayerDriver {
  const context = new TestFilterContext('timeout', { side: 'outbound' });
  const layer = timeoutRuntime.layer?.({ ...settings, ...overrides }, context);
  if (!layer) throw new Error('timeout is a layer');
  const request = { method: 'GET', authority: 'payments', target: '/', headers: step.headers ?? {} };
  return new LayerDriver((next) => {
    const dispatch = layer(next);
    return (call, response) => {
      context.clock.advance(spentMs);
      return dispatch(call, response);
    };
  }, context, { ...step, request });
}

describe('timeout', () => {
  test('gives the call its limits', () => {
    const { call } = drive({ perTryMs: 2000, maxStreamMs: 9000 });
    expect(call).toMatchObject({ connectTimeoutMs: 1000, headersTimeoutMs: 15_000, idleTimeoutMs: 60_000, perTryTimeoutMs: 2000, maxStreamMs: 9000, deadlineAt: Number.POSITIVE_INFINITY });
  });

  test('only shrinks what a layer outside has set', () => {
    const context = new TestFilterContext('timeout');
    const layer = timeoutRuntime.layer?.(settings, context);
    const driver = new LayerDriver(layer ?? ((next) => next), context, undefined, { connectTimeoutMs: 200, idleTimeoutMs: 90_000 });
    expect(driver.call).toMatchObject({ connectTimeoutMs: 200, idleTimeoutMs: 60_000 });
  });

  test('tells the next hop how long the caller waits', () => {
    expect(drive({}).last.lines).toContain('x-remora-deadline: 15000');
    expect(drive({ requestMs: 0 }).last.lines.join()).not.toContain('x-remora-deadline');
  });

  test.each([
    { name: 'follows a shorter deadline, less what was spent here', told: '4000', spentMs: 1500, expected: 2500 },
    { name: 'ignores a longer deadline', told: '60000', spentMs: 0, expected: 15_000 },
    { name: 'keeps a millisecond where the deadline has passed', told: '10', spentMs: 50, expected: 1 },
    { name: 'ignores what is no number', told: '4e3', spentMs: 0, expected: 15_000 },
    { name: 'ignores a number that is negative', told: '-1', spentMs: 0, expected: 15_000 },
  ])('$name', ({ told, spentMs, expected }) => {
    const driver = drive({}, { headers: { 'x-remora-deadline': told } }, spentMs);
    expect(driver.call.headersTimeoutMs).toBe(expected);
    expect(driver.last.lines.filter((line) => line.startsWith('x-remora-deadline'))).toEqual([`x-remora-deadline: ${expected}`]);
  });

  test('at a gateway believes deadlines of trusted peers alone', () => {
    const headers = { 'x-remora-deadline': '100' };
    expect(drive({}, { headers, side: 'gateway' }).call.headersTimeoutMs).toBe(15_000);
    expect(drive({}, { headers, side: 'gateway', connection: { trusted: true } }).call.headersTimeoutMs).toBe(100);
  });

  test.each([
    { name: 'is told to instances that speak gRPC', headers: { 'content-type': 'application/grpc' }, maxStreamMs: 5000, before: Number.POSITIVE_INFINITY, expected: 5000 },
    { name: 'shortens the deadline that a client of gRPC has', headers: { 'content-type': 'application/grpc+proto' }, maxStreamMs: 5000, before: 9000, expected: 5000 },
    { name: 'does not lengthen it', headers: { 'content-type': 'application/grpc' }, maxStreamMs: 5000, before: 900, expected: 900 },
    { name: 'is nothing to others', headers: { 'content-type': 'application/json' }, maxStreamMs: 5000, before: Number.POSITIVE_INFINITY, expected: Number.POSITIVE_INFINITY },
    { name: 'is nothing where there is none', headers: { 'content-type': 'application/grpc' }, maxStreamMs: 0, before: Number.POSITIVE_INFINITY, expected: Number.POSITIVE_INFINITY },
  ])('the longest life of a call $name', ({ headers, maxStreamMs, before, expected }) => {
    const context = new TestFilterContext('timeout', { side: 'outbound' });
    const layer = timeoutRuntime.layer?.({ ...settings, maxStreamMs }, context);
    const driver = new LayerDriver((next) => {
      const dispatch = layer?.(next) ?? next;
      return (call, response) => {
        call.x.grpcDeadlineAt = call.x.startedAt + before;
        return dispatch(call, response);
      };
    }, context, { request: { method: 'POST', authority: 'payments', target: '/', headers } });
    expect(driver.x.grpcDeadlineAt - driver.x.startedAt).toBe(expected);
  });

  test('removes an untrusted deadline where it sets none', () => {
    expect(drive({ requestMs: 0 }, { headers: { 'x-remora-deadline': '100' }, side: 'gateway' }).last.lines.join()).not.toContain('x-remora-deadline');
  });
});
