import type { JsonObject } from '@remora/core/canonical-json';
import { parseDurationMs } from '@remora/core/units';
import type { Violation } from '@remora/core/violation';
import { duration, headerName, headerValue, oneOf, ratio, type IssueParams } from '@remora/policy-kit/scalars';
import { z } from 'zod';

const hourMs = 3_600_000;
const threshold = z.int().min(1).max(100).optional();

/** `healthCheck` as authored. */
export const healthCheckSchema = z.strictObject({
  interval: duration({ min: 100, max: hourMs }).optional(),
  jitter: ratio().optional(),
  timeout: duration({ min: 10, max: 60_000 }).optional(),
  unhealthyThreshold: threshold,
  healthyThreshold: threshold,
  protocol: oneOf(['http', 'grpc', 'tcp']).optional(),
  port: matching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'the name of a port of the service').optional(),
  http: z.strictObject({
    path: matching(/^\/[\x21-\x7e]{0,1023}$/, 'a path that begins with /').optional(),
    host: matching(/^[A-Za-z0-9._:[\]-]{1,253}$/, 'a host name, perhaps with a port').optional(),
    method: oneOf(['GET', 'HEAD', 'OPTIONS']).optional(),
    statuses: z.array(statusRange()).min(1).max(16).optional(),
    bodyContains: z.string().max(256).optional(),
    headers: z.record(headerName(), headerValue()).optional(),
  }).optional(),
  grpc: z.strictObject({ service: z.string().max(256).optional() }).optional(),
});

function matching(pattern: RegExp, expected: string) {
  return z.string({ error: () => `must be ${expected}` }).superRefine((text, context) => {
    if (pattern.test(text)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 60))} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected, pattern: pattern.source });
}

/** `200`, or `200-299`. */
function statusRange() {
  const expected = 'a status such as 200, or a range such as 200-299';
  return z.union([z.int(), z.string().max(8)], { error: () => `must be ${expected}` }).superRefine((written, context) => {
    if (parseStatusRange(written) !== null) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(written)} is not ${expected}`, params: { code: 'invalid-value', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** Null where it is none. */
export function parseStatusRange(written: number | string): { readonly from: number; readonly to: number } | null {
  const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(String(written));
  if (match === null) return null;
  const [from, to] = [Number(match[1]), Number(match[2] ?? match[1])];
  return to >= from ? { from, to } : null;
}

type Authored = z.output<typeof healthCheckSchema>;
type Filled<T> = { readonly [F in keyof T]-?: NonNullable<T[F]> };

/** The section with its defaults. Without `protocol` the port's own decides. */
export type EffectiveHealthCheck = Filled<Omit<Authored, 'http' | 'grpc' | 'protocol' | 'port'>> & {
  readonly protocol?: string;
  readonly port?: string;
  readonly http: Filled<Omit<NonNullable<Authored['http']>, 'host' | 'bodyContains' | 'headers'>> & Pick<NonNullable<Authored['http']>, 'host' | 'bodyContains' | 'headers'>;
  readonly grpc: Filled<NonNullable<Authored['grpc']>>;
};

export const healthCheckDefaults: JsonObject = {
  interval: '10s', jitter: '10%', timeout: '1s', unhealthyThreshold: 3, healthyThreshold: 2, http: { path: '/', method: 'GET', statuses: ['200-299'] }, grpc: { service: '' },
};

const headersMax = 16;

/** What can never work. */
export function checkHealthCheck(effective: JsonObject): Violation[] {
  const { interval, timeout, http } = effective as unknown as EffectiveHealthCheck;
  const violations: Violation[] = [];
  if ((parseDurationMs(timeout) ?? 0) > (parseDurationMs(interval) ?? 0)) {
    violations.push({ pointer: '/timeout', code: 'contradiction', message: `timeout (${timeout}) is longer than interval (${interval})`, expected: `at most ${interval}` });
  }
  const headers = Object.keys(http.headers ?? {});
  if (headers.length > headersMax) violations.push({ pointer: '/http/headers', code: 'too-many', message: `${headers.length} headers, at most ${headersMax} are accepted` });
  for (const name of headers.filter((header) => forbidden.has(header.toLowerCase()))) {
    violations.push({ pointer: `/http/headers/${name}`, code: 'invalid-value', message: `${name} is made here`, expected: name.toLowerCase() === 'host' ? 'http.host' : 'another header' });
  }
  if (http.method === 'HEAD' && (http.bodyContains ?? '') !== '') violations.push({ pointer: '/http/bodyContains', code: 'contradiction', message: 'an answer to HEAD has no body' });
  return violations;
}

const forbidden: ReadonlySet<string> = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'upgrade', 'te', 'expect', 'user-agent']);
