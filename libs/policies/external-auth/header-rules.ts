/**
 * Which headers an authorizer may have anything to do with: none that belong to the connection or frame the message (RFC 9110 section 7.6.1), not the host
 * that routes decided on, and none that only Remora may set.
 */
export function mayTouch(lowerName: string): boolean {
  return token.test(lowerName) && !own.has(lowerName) && !lowerName.startsWith('x-remora-') && !lowerName.startsWith('proxy-') && !lowerName.startsWith('x-forwarded-');
}

/** What is told to an authorizer: everything of the client but what is the connection's. */
export function mayTell(lowerName: string): boolean {
  return lowerName !== partialBodyHeader && !own.has(lowerName) && !lowerName.startsWith('proxy-') && !lowerName.startsWith('x-remora-');
}

export function isHeaderValue(value: string): boolean {
  return value.length <= 8_192 && !/[\0\r\n]/.test(value);
}

/** Says to an authorizer whether it was told the beginning of the body or all of it. Only we say that. */
export const partialBodyHeader = 'x-envoy-auth-partial-body';

const token = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/;
const own: ReadonlySet<string> = new Set([
  'host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'keep-alive', 'expect', 'http2-settings', 'via', 'forwarded',
]);
