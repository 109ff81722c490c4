import type { Reason } from '@remora/errors/reason';

function reason(code: string, status: number, title: string): Reason {
  return Object.freeze({ code, status, flag: 'UAEX', origin: 'policy', retry: 'never', title });
}

export const jwtInvalid = reason('jwt-invalid', 401, 'The token is not valid.');
export const jwtExpired = reason('jwt-expired', 401, 'The token has expired.');
export const jwtEarly = reason('jwt-early', 401, 'The token is not valid yet.');
export const jwtIssuer = reason('jwt-issuer', 401, 'The token is of an issuer that is not known here.');
export const jwtKey = reason('jwt-key', 401, 'The token is signed with a key that its issuer does not have.');
export const jwtSignature = reason('jwt-signature', 401, 'The signature of the token is wrong.');
export const jwtAudience = reason('jwt-audience', 401, 'The token is meant for somebody else.');
export const jwtClaims = reason('jwt-claims', 403, 'The token does not say what it must say to be let in here.');
/** The sidecar has just started, or the issuer was named a moment ago. */
export const jwksWarming = reason('jwks-warming', 503, 'The keys of the issuer are being fetched.');
/** The issuer has not answered for longer than its keys are believed. */
export const jwksUnavailable = reason('jwks-unavailable', 503, 'The keys of the issuer are too old, and it does not answer.');
export const jwtOverload = reason('jwt-overload', 503, 'Too many new tokens are being verified.');

export const jwtReasons: readonly Reason[] = Object.freeze([
  jwtInvalid, jwtExpired, jwtEarly, jwtIssuer, jwtKey, jwtSignature, jwtAudience, jwtClaims, jwksWarming, jwksUnavailable, jwtOverload,
]);
