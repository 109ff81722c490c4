import type { Reason } from '@remora/errors/reason';

function reason(code: string, status: number, title: string): Reason {
  return Object.freeze({ code, status, flag: 'UAEX', origin: 'policy', retry: 'never', title });
}

/** To the issuer, from the issuer to where the browser wanted to go, and after a logout. */
export const oidcRedirect = reason('oidc-redirect', 302, 'The browser is sent on.');
export const oidcState = reason('oidc-state', 400, 'This login was not begun by this browser, was used already, or took too long. Begin again.');
export const oidcDenied = reason('oidc-denied', 403, 'The issuer did not let this user in.');
export const oidcCrossSite = reason('oidc-cross-site', 403, 'Another site may not log out a user.');
export const oidcToken = reason('oidc-token', 502, 'What the issuer answered proves nobody.');
export const oidcSessionSize = reason('oidc-session-size', 502, 'The session does not fit into a cookie.');
export const oidcUnavailable = reason('oidc-unavailable', 503, 'Nobody can log in at the moment.');
export const oidcSecret = reason('oidc-secret', 503, 'What is needed for logins is missing here.');
export const oidcOverload = reason('oidc-overload', 503, 'Too many logins are under way.');

export const oidcReasons: readonly Reason[] = Object.freeze([oidcRedirect, oidcState, oidcDenied, oidcCrossSite, oidcToken, oidcSessionSize, oidcUnavailable, oidcSecret, oidcOverload]);
