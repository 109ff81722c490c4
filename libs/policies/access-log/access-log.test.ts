import type { JsonObject } from '@remora/core/canonical-json';
import { reasons } from '@remora/errors/reason';
import { buildResponseHead } from '@remora/http/head-builder';
import type { Exchange } from '@remora/policy-kit/exchange';
import { WireError, type FilterContext, type LogFile } from '@remora/policy-kit/runtime-kind';
import { effectiveSection, sectionViolations } from '@remora/testing/effective-section';
import { makeExchange, type ExchangeStep } from '@remora/testing/exchange-driver';
import { TestFilterContext } from '@remora/testing/filter-context';
import { testKindCases } from '@remora/testing/kind-cases';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { accessLogAuthoring } from './compile.ts';
import { accessLogRuntime } from './filter.ts';
import { quote } from './line-writer.ts';
import { redactQuery } from './redaction.ts';

testKindCases(import.meta.dirname, accessLogAuthoring, accessLogRuntime);

const step: ExchangeStep = {
  request: {
    method: 'GET', authority: 'shop.example', target: '/orders/7?page=2&token=abc&Api%5Fkey=d',
    headers: [['authorization', 'Bearer secret'], ['cookie', 'sid=secret'], ['user-agent', 'a "b" \\c'], ['x-tenant', 'acme'], ['referer', 'https://r.example']],
  },
  route: 'orders-api', owner: 'edge', side: 'gateway', clientAddress: '203.0.113.9',
};

interface Finish {
  readonly status?: number;
  readonly tookMs?: number;
  readonly refused?: boolean;
  readonly path?: string;
}

function logged(section: JsonObject, finishes: readonly Finish[] = [{}]): string[] {
  expect(sectionViolations(accessLogAuthoring, section)).toEqual([]);
  const context = new TestFilterContext('accessLog');
  const body = accessLogAuthoring.compile(effectiveSection(accessLogAuthoring, section)).body;
  const filter = accessLogRuntime.edge?.(accessLogRuntime.decode(body), context);
  for (const finish of finishes) filter?.complete?.(finished(context, finish));
  return context.lines;
}

function finished(context: TestFilterContext, { status = 200, tookMs = 12.5, refused = false, path }: Finish): Exchange {
  const x = makeExchange(path === undefined ? step : { ...step, request: { ...step.request, target: path } }, context);
  x.status = status;
  x.responseHead = buildResponseHead({ status, headers: { 'set-cookie': 'sid=secret', etag: '"e"' } });
  x.endedAt = x.startedAt + tookMs;
  x.answeredAt = x.startedAt + 1;
  x.bytesOut = 345;
  x.attempts = 1;
  x.upstream = '10.0.0.5:8080';
  x.destination = 'orders';
  if (refused) x.refusal = { ...context.refuse(reasons.noRoute, '/x', 'secret detail'), kind: 'rateLimit', status };
  return x;
}

describe('the JSON line', () => {
  test('has the standard fields, without what is empty and without secrets', () => {
    const [line = ''] = logged({ enabled: true });
    expect(JSON.parse(line)).toEqual({
      time: '2026-01-01T00:00:00.000Z', id: 'request-1', side: 'gateway', client: '203.0.113.9', method: 'GET', host: 'shop.example',
      path: '/orders/7', query: 'page=2&token=***&Api%5Fkey=***', status: 200, durationMs: 12.5, bytesIn: 0, bytesOut: 345,
      route: 'orders-api', destination: 'orders', upstream: '10.0.0.5:8080', attempts: 1, userAgent: 'a "b" \\c', config: '1.1',
    });
  });

  test('names what refused', () => {
    const [line = ''] = logged({ enabled: true }, [{ refused: true, status: 429 }]);
    expect(JSON.parse(line)).toMatchObject({ status: 429, reason: 'no-route', flag: 'NR', policyKind: 'rateLimit', policyField: '/x' });
    expect(line).not.toContain('secret');
  });

  test('fields are chosen, renamed and redacted', () => {
    const fields = {
      auth: '${header.authorization}', session: '${cookie.sid}', set: '${response.header.set-cookie}', tenant: 't-${header.x-tenant}',
      ua: '${header.user-agent}', token: '${query.token}', page: '${query.page}', target: '${request.target}', none: '${header.x-none}',
    };
    const [line = ''] = logged({ standardFields: false, fields, redact: { headers: ['User-Agent'] } });
    expect(JSON.parse(line)).toEqual({
      auth: '***', page: '2', session: '***', set: '***', target: '/orders/7?page=2&token=***&Api%5Fkey=***', tenant: 't-acme', token: '***', ua: '***',
    });
  });

  test('is cut at a field where it would be too long, and stays JSON', () => {
    const long = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, `${'x,"y'.repeat(300)}\${header.x-tenant}`]));
    const [line = ''] = logged({ fields: long });
    expect(line.length).toBeLessThan(17_000);
    expect(JSON.parse(line)).toMatchObject({ id: 'request-1', truncated: true });
  });

  test('quote is JSON for every text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(JSON.parse(quote(text))).toBe(JSON.parse(JSON.stringify(text)));
    }));
  });
});

describe('the text line', () => {
  test('is combined, with id and duration', () => {
    expect(logged({ format: 'text' })).toEqual([
      '203.0.113.9 - - [2026-01-01T00:00:00.000Z] "GET /orders/7?page=2&token=***&Api%5Fkey=***" 200 345 "https://r.example" "a \\x22b\\x22 \\x5cc" request-1 12.5',
    ]);
  });
});

describe('what is logged', () => {
  const statuses = (section: JsonObject, finishes: readonly Finish[]): number[] => logged({ ...section, standardFields: false, fields: { s: '${response.status}' } }, finishes).map((line) => (JSON.parse(line) as { s: number }).s);

  test('all of only', () => {
    const many = [{ status: 200 }, { status: 404, tookMs: 5 }, { status: 404, tookMs: 50 }, { status: 503, tookMs: 50 }, { status: 0, tookMs: 50 }];
    expect(statuses({ only: { statuses: ['4xx', 503] } }, many)).toEqual([404, 404, 503]);
    expect(statuses({ only: { statuses: ['4xx', 503], slowerThan: '20ms' } }, many)).toEqual([404, 503]);
    expect(statuses({ only: { refusals: true } }, [{ status: 429, refused: true }, { status: 429 }, { status: 204, refused: true }])).toEqual([429]);
  });

  test('any of always, whatever sampling says', () => {
    const many = [{ status: 200 }, { status: 500 }, { status: 201, tookMs: 2000 }, { status: 429, refused: true }];
    expect(statuses({ sampling: 0, always: { statuses: ['5xx'], slowerThan: '1s', refusals: true } }, many)).toEqual([500, 201, 429]);
  });

  test('a share', () => {
    const count = logged({ sampling: '10%' }, Array.from({ length: 2000 }, () => ({}))).length;
    expect(count).toBeGreaterThan(140);
    expect(count).toBeLessThan(260);
  });

  test('not the excepted paths', () => {
    const paths = ['/health', '/healthy', '/static', '/static/a.js', '/statics'].map((path) => ({ path }));
    const lines = logged({ exceptPaths: ['/health', '/static/*'] }, paths).map((line) => (JSON.parse(line) as { path: string }).path);
    expect(lines).toEqual(['/healthy', '/statics']);
  });
});

describe('a file', () => {
  const settings = () => accessLogRuntime.decode(accessLogAuthoring.compile(effectiveSection(accessLogAuthoring, { output: 'file', file: { name: 'edge.log' } })).body);

  test('is opened once per snapshot by the data thread', () => {
    const context = new TestFilterContext('accessLog');
    const opened: LogFile[] = [];
    const lines: string[] = [];
    const withFiles = Object.assign(context, {
      openLog: (target: LogFile) => {
        opened.push(target);
        return (line: string) => void lines.push(line);
      },
    });
    accessLogRuntime.edge?.(settings(), withFiles)?.complete?.(finished(context, {}));
    expect(opened).toEqual([{ name: 'edge.log', rotateBytes: 100 * 1024 ** 2, keep: 5 }]);
    expect([lines.length, context.lines.length]).toEqual([1, 0]);
  });

  test('is refused where the data thread cannot write one', () => {
    const context = Object.assign(new TestFilterContext('accessLog'), { openLog: undefined });
    expect(() => accessLogRuntime.edge?.(settings(), context as unknown as FilterContext)).toThrow(WireError);
  });
});

test.each([
  ['', ''], ['a=1', 'a=1'], ['token=', 'token=***'], ['token', 'token'], ['a=token=1&b', 'a=token=1&b'], ['to%6ben=1&x=2&TOKEN=3', 'to%6ben=***&x=2&TOKEN=***'], ['&&token=1&', '&&token=***&'],
])('redactQuery %s', (query, wanted) => expect(redactQuery(query, new Set(['token']))).toBe(wanted));
