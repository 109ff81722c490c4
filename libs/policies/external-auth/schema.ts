import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import { duration, headerName, oneOf, size, type IssueParams } from '@remora/policy-kit/scalars';
import { templateViolation } from '@remora/policy-kit/template';
import { z } from 'zod';
import { mayTouch } from './header-rules.ts';
import { externalAuthMax } from './wire.ts';

const headers = z.array(headerName()).min(1).max(externalAuthMax.headers);

/** `externalAuth` as authored. */
export const externalAuthSchema = z.strictObject({
  http: z.strictObject({ url: url().optional() }).optional(),
  grpc: z.strictObject({ address: address().optional(), tls: z.boolean().optional() }).optional(),
  deadline: duration({ min: 1, max: externalAuthMax.deadlineMs }).optional(),
  onFailure: oneOf(['deny', 'allow']).optional(),
  allowPrivateAddresses: z.boolean().optional(),
  requestHeaders: headers.optional(),
  headersToUpstream: headers.optional(),
  consumerHeader: headerName().optional(),
  cache: z.strictObject({
    ttl: duration({ min: 1, max: externalAuthMax.ttlMs }).optional(),
    key: z.array(z.string().min(1).max(1_024)).min(1).max(externalAuthMax.keyParts).optional(),
    entries: z.int().min(1).max(externalAuthMax.entries).optional(),
  }).optional(),
  context: z.record(z.string().min(1).max(256), z.string().max(4_096)).optional(),
  body: z.strictObject({
    maxBytes: size({ min: 1, max: externalAuthMax.bodyBytes }).optional(),
    allowPartial: z.boolean().optional(),
    packAsBytes: z.boolean().optional(),
  }).optional(),
});

export type EffectiveExternalAuth = z.output<typeof externalAuthSchema>;

export const externalAuthDefaults: JsonObject = { deadline: '200ms', onFailure: 'deny', allowPrivateAddresses: false };

function url(): z.ZodString {
  const expected = 'a URL such as https://auth.example/check, without user, query and fragment';
  return z.string({ error: () => `must be ${expected}` }).max(2_048).superRefine((text, context) => {
    const read = URL.canParse(text) ? new URL(text) : null;
    if (read !== null && (read.protocol === 'https:' || read.protocol === 'http:') && read.username === '' && read.password === '' && !/[?#]/.test(text)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is not such a URL`, params: { code: 'invalid-url', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

function address(): z.ZodString {
  const expected = 'a host and port such as opa.internal:9191';
  return z.string({ error: () => `must be ${expected}` }).max(300).superRefine((text, context) => {
    if (/^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\]):\d{1,5}$/.test(text) && URL.canParse(`http://${text}`)) return;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is not a host and port`, params: { code: 'invalid-address', expected } satisfies IssueParams });
  }).meta({ description: expected });
}

/** Somebody is asked, in one way; what is plain goes to private addresses only; what is taken over from the answer may be. */
export function checkExternalAuth(effective: JsonObject): Violation[] {
  const { http, grpc, allowPrivateAddresses, headersToUpstream = [], consumerHeader, cache, context, body } = effective as EffectiveExternalAuth;
  const found: Violation[] = [];
  const missing = (pointer: string, expected: string): void => void found.push({ pointer, code: 'missing-field', message: 'an authorizer is needed', expected });
  if (http === undefined && grpc === undefined) missing('', 'http: {url: …} or grpc: {address: …}');
  else if (http !== undefined && grpc !== undefined) found.push({ pointer: '/grpc', code: 'exclusive', message: 'an authorizer is asked in one way', expected: 'http or grpc' });
  if (http !== undefined && http.url === undefined) missing('/http/url', 'a URL such as https://auth.example/check');
  if (grpc !== undefined && grpc.address === undefined) missing('/grpc/address', 'a host and port such as opa.internal:9191');
  const plain = http?.url?.startsWith('http:') === true ? '/http/url' : grpc !== undefined && grpc.tls !== true ? '/grpc/tls' : null;
  if (plain !== null && allowPrivateAddresses !== true) {
    found.push({ pointer: plain, code: 'plaintext', message: 'credentials would be sent without TLS', expected: 'TLS, or allowPrivateAddresses: true for an authorizer that is inside' });
  }
  headersToUpstream.forEach((name, at) => {
    if (!mayTouch(name.toLowerCase())) found.push({ pointer: `/headersToUpstream/${at}`, code: 'protected-header', message: `${name} is no header that an authorizer may set` });
  });
  if (consumerHeader !== undefined && !mayTouch(consumerHeader.toLowerCase())) found.push({ pointer: '/consumerHeader', code: 'protected-header', message: `${consumerHeader} is no header that an authorizer may set` });
  if (context !== undefined && grpc === undefined) found.push({ pointer: '/context', code: 'exclusive', message: 'context is a part of the gRPC protocol', expected: 'grpc' });
  if (body?.packAsBytes !== undefined && grpc === undefined) found.push({ pointer: '/body/packAsBytes', code: 'exclusive', message: 'packAsBytes is a part of the gRPC protocol', expected: 'grpc' });
  if (cache !== undefined && cache.ttl === undefined) missing('/cache/ttl', 'a duration such as 5s');
  if (cache !== undefined && cache.key === undefined) found.push({ pointer: '/cache/key', code: 'missing-field', message: 'answers are kept by what decides them', expected: 'key: ["${header.authorization}", "${request.path}"]' });
  cache?.key?.forEach((part, at) => {
    const problem = templateViolation(`/cache/key/${at}`, part);
    if (problem !== null) found.push(problem);
  });
  return found;
}
