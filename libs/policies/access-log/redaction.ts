import { decodeQueryText } from '@remora/policy-kit/query-values';
import type { VariablePart } from '@remora/policy-kit/template';
import type { AccessLogSettings } from './wire.ts';

/** Stands where a secret would. */
export const redacted = '***';

/** Never written, whatever the settings name. */
const secretHeaders: ReadonlySet<string> = new Set([
  'authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key', 'x-forwarded-client-cert', 'proxy-authenticate', 'www-authenticate',
]);

/**
 * What is done to the value of a variable before it is written: nothing (null), or a function. Secrets become `***`; a value that
 * is not there stays empty, so that its absence can be seen.
 */
export function redactionOf(part: VariablePart, settings: Pick<AccessLogSettings, 'redactedHeaders' | 'redactedQuery'>): ((value: string) => string) | null {
  const { redactedHeaders, redactedQuery } = settings;
  const { name, argument } = part;
  if (name === 'header.' || name === 'response.header.') return secretHeaders.has(argument) || redactedHeaders.has(argument) ? mask : null;
  if (name === 'cookie.') return mask;
  if (name === 'query.') return redactedQuery.has(argument.toLowerCase()) ? mask : null;
  if (redactedQuery.size === 0) return null;
  if (name === 'request.query') return (query) => redactQuery(query, redactedQuery);
  return name === 'request.target' ? (target) => redactTarget(target, redactedQuery) : null;
}

function mask(value: string): string {
  return value === '' ? '' : redacted;
}

function redactTarget(target: string, names: ReadonlySet<string>): string {
  const question = target.indexOf('?');
  return question < 0 ? target : `${target.slice(0, question + 1)}${redactQuery(target.slice(question + 1), names)}`;
}

/** `token=abc&page=2` → `token=***&page=2`. Names are compared decoded and without case. */
export function redactQuery(query: string, names: ReadonlySet<string>): string {
  if (query === '') return '';
  let text = '';
  /** Everything before this place is in `text`. */
  let copied = 0;
  let at = 0;
  while (at < query.length) {
    let end = query.indexOf('&', at);
    if (end < 0) end = query.length;
    const equals = query.indexOf('=', at);
    if (equals > at && equals < end && names.has(decodeQueryText(query.slice(at, equals)).toLowerCase())) {
      text += query.slice(copied, equals + 1) + redacted;
      copied = end;
    }
    at = end + 1;
  }
  return copied === 0 ? query : text + query.slice(copied);
}
