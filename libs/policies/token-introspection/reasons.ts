import type { Reason } from '@remora/errors/reason';

function reason(code: string, status: number, title: string): Reason {
  return Object.freeze({ code, status, flag: 'UAEX', origin: 'policy', retry: 'never', title });
}

export const introspectionInvalid = reason('introspection-invalid', 401, 'The token cannot be one.');
export const introspectionInactive = reason('introspection-inactive', 401, 'The token is not valid, or not any more.');
export const introspectionAudience = reason('introspection-audience', 401, 'The token of this request is meant for somebody else.');
export const introspectionScope = reason('introspection-scope', 403, 'The token does not have the scopes that are needed here.');
export const introspectionUnavailable = reason('introspection-unavailable', 503, 'Whoever knows the token does not answer.');
export const introspectionSecret = reason('introspection-secret', 503, 'What is needed to look the token up is missing here.');
export const introspectionOverload = reason('introspection-overload', 503, 'Too many new tokens are being looked up.');

export const introspectionReasons: readonly Reason[] = Object.freeze([
  introspectionInvalid, introspectionInactive, introspectionAudience, introspectionScope, introspectionUnavailable, introspectionSecret, introspectionOverload,
]);
