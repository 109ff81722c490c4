import type { JsonObject } from '@remora/core/canonical-json';
import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import type { Call } from '@remora/policy-kit/exchange';
import { DrivenDetours } from '@remora/testing/driven-detours';
import { effectiveSection } from '@remora/testing/effective-section';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import { LayerDriver } from '@remora/testing/layer-driver';
import { describe, expect, test } from 'vitest';
import { mirrorAuthoring } from './compile.ts';
import { mirrorRuntime } from './filter.ts';

testKindCases(import.meta.dirname, mirrorAuthoring, mirrorRuntime);

interface Scene {
  readonly section?: JsonObject;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly bodyLength?: number;
  readonly call?: Partial<Call>;
  readonly context?: TestFilterContext;
}

function makeContext(): TestFilterContext {
  return new TestFilterContext('mirror', { side: 'outbound', scope: 'outbound/web/to/payments/', detours: new DrivenDetours() });
}

function drive(scene: Scene = {}): LayerDriver & { readonly context: TestFilterContext; readonly copies: DrivenDetours } {
  const context = scene.context ?? makeContext();
  const { body } = mirrorAuthoring.compile(effectiveSection(mirrorAuthoring, { to: { service: 'payments-b', labels: { version: 'v2' } }, ...scene.section }));
  const layer = mirrorRuntime.layer?.(mirrorRuntime.decode(body), context);
  if (!layer) throw new Error('mirror is a layer');
  const request = { method: scene.method ?? 'GET', authority: 'payments', target: '/a?b=c', headers: scene.headers ?? {}, bodyLength: scene.bodyLength ?? 0 };
  return Object.assign(new LayerDriver(layer, context, { request }, scene.call), { context, copies: context.detours as DrivenDetours });
}

function bytes(text: string): [Uint8Array, number, number] {
  return [Buffer.from(text), 0, text.length];
}

describe('a copy', () => {
  test('is made beside the request, marked, without what concerns this hop', () => {
    const driver = drive({ headers: { 'x-tenant': 'blue', 'x-remora-deadline': '500', authorization: 'Bearer x' }, call: { headersTimeoutMs: 500, perTryTimeoutMs: 100 } });
    expect(driver.attempts).toHaveLength(1);
    expect(driver.last.lines.join()).not.toContain('x-remora-mirror');
    const { call, lines, to } = driver.copies.last;
    expect(to).toMatchObject({ service: 'payments-b', labels: ['version=v2'] });
    expect(lines).toEqual(['GET /a?b=c', 'host: payments', 'x-tenant: blue', 'authorization: Bearer x', 'x-remora-mirror: 1']);
    expect(call).toMatchObject({ detour: true, headersTimeoutMs: 0, perTryTimeoutMs: 0, budget: null });
    expect(call.x).not.toBe(driver.x);
  });

  test('changes nothing for the client, whatever becomes of it', () => {
    const driver = drive();
    driver.copies.last.fail(reasons.connectFailure);
    driver.last.answer(200, {}, 'mine');
    expect(driver.response.events).toEqual(['head 200', 'data "mine" end']);
    expect(driver.x.attempts).toBe(0);
    expect(driver.context.counts).toEqual(new Map([['mirror_sent', 1], ['mirror_failed', 1]]));
  });

  test('goes on when the client has its answer, and when it is gone', () => {
    const driver = drive();
    driver.response.bound?.stop(reasons.downstreamReset);
    expect(driver.copies.last.source.stopped).toBeNull();
    driver.copies.last.answer(200, {}, 'short');
    expect(driver.context.counts.get('mirror_answered')).toBe(1);
  });

  test('with a long answer is cancelled, with a short one read to its end', () => {
    const long = drive();
    long.copies.last.response.head(buildResponseHead({ status: 200, bodyLength: -1 }), false);
    expect(long.copies.last.source.stopped).not.toBeNull();
    const short = drive();
    short.copies.last.response.head(buildResponseHead({ status: 200, bodyLength: 5 }), false);
    expect(short.copies.last.source.stopped).toBeNull();
    expect(short.copies.last.response.data(...bytes('hello'), true)).toBe(true);
  });

  test.each([
    { name: 'of a copy', scene: { headers: { 'x-remora-mirror': '1' } } },
    { name: 'of a call that stands in for another', scene: { call: { detour: true } } },
  ])('is not made $name', ({ scene }) => {
    expect(drive(scene).copies.calls).toHaveLength(0);
  });

  test('is made of a share of the requests', () => {
    const context = makeContext();
    for (let i = 0; i < 1000; i += 1) drive({ context, section: { ratio: '10%', outstanding: 10_000 } });
    expect((context.detours as DrivenDetours).calls.length).toBeGreaterThan(70);
    expect((context.detours as DrivenDetours).calls.length).toBeLessThan(130);
  });

  test('is dropped where as many as may be are under way, counted', () => {
    const context = makeContext();
    const drivers = Array.from({ length: 5 }, () => drive({ context, section: { outstanding: 2 } }));
    const copies = context.detours as DrivenDetours;
    expect(copies.calls).toHaveLength(2);
    expect(context.counts.get('mirror_dropped')).toBe(3);
    expect(drivers.every(({ attempts }) => attempts.length === 1)).toBe(true);
    for (const copy of copies.calls) copy.answer(200);
    drive({ context, section: { outstanding: 2 } });
    expect(copies.calls).toHaveLength(3);
  });
});

describe('a body', () => {
  const post = { method: 'POST', bodyLength: 8 };

  test('is copied as it passes, and the copy made when it is whole', async () => {
    const driver = drive({ ...post, bodyLength: -1 });
    driver.last.call.body.resume();
    expect(driver.body.resumes).toBe(1);
    expect(driver.request.data(...bytes('abcd'), false)).toBe(true);
    expect(driver.copies.calls).toHaveLength(0);
    driver.request.data(...bytes('efgh'), true);
    expect(driver.last.bodySink.text).toBe('abcdefgh');
    const copy = driver.copies.last;
    expect(copy.call.head.bodyLength).toBe(8);
    copy.call.body.resume();
    await Promise.resolve();
    expect(copy.bodySink.text).toBe('abcdefgh');
    expect(copy.bodySink.ended).toBe(true);
  });

  test('is never held up by the copy', async () => {
    const driver = drive(post);
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcd'), false);
    driver.request.data(...bytes('efgh'), true);
    const copy = driver.copies.last;
    copy.bodySink.takes = false;
    copy.call.body.resume();
    await Promise.resolve();
    expect(copy.bodySink.text).toBe('abcd');
    driver.last.answer(200);
    expect(driver.response.events).toEqual(['head 200 end']);
    copy.call.body.resume();
    await Promise.resolve();
    expect(copy.bodySink.text).toBe('abcdefgh');
  });

  test('keeps its trailers', async () => {
    const driver = drive({ ...post, bodyLength: -1 });
    driver.last.call.body.resume();
    driver.request.data(...bytes('abcd'), false);
    driver.request.trailers(buildResponseHead({ status: 0, headers: { 'x-sum': '1' } }));
    driver.copies.last.call.body.resume();
    await Promise.resolve();
    expect(driver.copies.last.bodySink.events).toEqual(['data "abcd"', 'trailers x-sum: 1']);
  });

  test.each([
    { name: 'that is said to be too long', bodyLength: 100, feed: () => {} },
    { name: 'that is too long', bodyLength: -1, feed: (driver: LayerDriver) => void driver.request.data(...bytes('x'.repeat(20)), true) },
    { name: 'whose client goes', bodyLength: -1, feed: (driver: LayerDriver) => driver.request.reset(reasons.downstreamReset) },
    { name: 'that the destination does not want', bodyLength: -1, feed: (driver: LayerDriver) => driver.last.call.body.stop(reasons.upstreamReset) },
  ])('$name is not mirrored, counted', ({ bodyLength, feed }) => {
    const driver = drive({ method: 'POST', bodyLength, section: { bodyMax: '16B' } });
    driver.last.call.body.resume();
    feed(driver);
    expect(driver.copies.calls).toHaveLength(0);
    expect(driver.context.counts).toEqual(new Map([['mirror_body_not_copied', 1]]));
  });
});
