import { makeField } from '@remora/http/header-ids';
import type { Answer, Exchange } from '@remora/policy-kit/exchange';
import { canEdit } from './apply-edit.ts';
import { partialHeader, type BodyForAuthorizer } from './body-for-authorizer.ts';
import type { Decision, HeaderEdit } from './decision.ts';
import type { Pair, Reply } from './gen/external-auth.ts';
import { isHeaderValue, mayTell, mayTouch, partialBodyHeader } from './header-rules.ts';
import { isSaidByUs } from './said-by-us.ts';
import { externalAuthMax, type ExternalAuthSettings } from './wire.ts';

/** What an authorizer is told over HTTP: the request's headers, and what it was in `x-forwarded-*`, as forward authentication has it. */
export function headersForAuthorizer(x: Exchange, { requestHeaders }: ExternalAuthSettings, body: BodyForAuthorizer | null): Pair[] {
  const { head } = x;
  const joined = new Map<string, string>();
  head.forEach((name, value) => {
    const lower = name.toLowerCase();
    const ofBody = body !== null && body.bytes.length > 0 && aboutBody.has(lower);
    if (!ofBody && (!mayTell(lower) || unasked.has(lower) || isSaidByUs(lower) || (requestHeaders.length > 0 && !requestHeaders.includes(lower)))) return;
    const before = joined.get(lower);
    joined.set(lower, before === undefined ? value : `${before}${lower === 'cookie' ? '; ' : ', '}${value}`);
  });
  return [
    ...[...joined].map(([name, value]) => ({ name, value })),
    { name: 'x-forwarded-method', value: head.method }, { name: 'x-forwarded-proto', value: head.scheme }, { name: 'x-forwarded-host', value: head.authority },
    { name: 'x-forwarded-uri', value: head.target }, { name: 'x-forwarded-for', value: x.clientAddress }, { name: 'x-request-id', value: x.requestId },
    { name: partialBodyHeader, value: body === null ? '' : (partialHeader(body) ?? '') },
  ].filter(({ value }) => value !== '' && isHeaderValue(value));
}

/** Without them a body cannot be read. */
const aboutBody: ReadonlySet<string> = new Set(['content-type', 'content-encoding']);
/** Of the client's own exchange: they mean something else in a question. */
const unasked: ReadonlySet<string> = new Set(['accept-encoding', 'content-encoding', 'range', 'if-none-match', 'if-modified-since']);

/** 2xx lets the request in; 3xx and 4xx are answered to the client; anything else is no decision. */
export function readHttpAnswer({ status, headers, body }: Reply, denied: Answer, { headersToUpstream, consumerHeader }: ExternalAuthSettings): Decision {
  if (headers.length > externalAuthMax.answerHeaders) return { kind: 'failed', problem: `the answer has more than ${externalAuthMax.answerHeaders} headers` };
  const valueOf = (wanted: string): string => headers.find(({ name }) => name === wanted)?.value ?? '';
  if (status >= 200 && status < 300) {
    const edits = headersToUpstream.flatMap((name): HeaderEdit[] => {
      const value = valueOf(name);
      // What the client said under that name never passes for the authorizer's word.
      return value === '' || !isHeaderValue(value) ? [{ name, value: '', how: 'remove' }] : [{ name, value, how: 'set' }];
    });
    return { kind: 'allowed', edits, toClient: [], consumer: consumerHeader === '' ? '' : valueOf(consumerHeader) };
  }
  if (status < 300 || status >= 500) return { kind: 'failed', problem: `the authorizer answered ${status}` };
  const fields = headers.filter(({ name, value }) => mayTouch(name) && !unshown.has(name) && isHeaderValue(value) && canEdit({ name })).map(({ name, value }) => makeField(name, value));
  return { kind: 'denied', answer: { ...denied, status, fields, body: body.length === 0 ? null : body, contentType: body.length === 0 ? '' : valueOf('content-type') || 'text/plain' } };
}

const unshown: ReadonlySet<string> = new Set(['content-type', 'content-encoding', 'date', 'server', 'alt-svc', 'strict-transport-security']);
