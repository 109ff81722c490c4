import { AuthenticationError } from './authentication-error.ts';

/** Longest token that is looked at: those of issuers carry claims. */
export const bearerBytesMax = 8_192;

/**
 * The one bearer token of a request, from its header fields as they came (names and values in turn). Throws where there is none, more than one, or
 * something else. Nowhere else is looked: what stands in a path or a query ends in logs and histories.
 */
export function bearerTokenOf(rawHeaders: readonly string[], url: string): string {
  const values: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) if (rawHeaders[at]?.toLowerCase() === 'authorization') values.push(rawHeaders[at + 1] ?? '');
  const [value] = values;
  if (value === undefined) {
    const inQuery = /[?&](access_token|token|authorization)=/i.test(url);
    throw new AuthenticationError('missing', `expected Authorization: Bearer <token>${inQuery ? '; a token in the query is not looked at, and is known to every log on its way: revoke it' : ''}`);
  }
  if (values.length > 1) throw new AuthenticationError('twice', `expected one Authorization header, found ${values.length}`);
  if (value.length > bearerBytesMax + 7) throw new AuthenticationError('malformed', `the token is longer than ${bearerBytesMax} characters`);
  // RFC 6750 section 2.1; RFC 9110 section 11.1: the scheme is case-insensitive, one space follows.
  const match = /^bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(value);
  if (match?.[1] === undefined) throw new AuthenticationError(/^bearer( |$)/i.test(value) ? 'malformed' : 'not-bearer', 'expected Authorization: Bearer <token>');
  return match[1];
}
