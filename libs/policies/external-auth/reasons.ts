import type { Reason } from '@remora/errors/reason';

/** The status is the authorizer's; 403 where it names none. */
export const externalAuthDenied: Reason = Object.freeze({
  code: 'external-auth-denied', status: 403, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'This is not allowed.',
});

export const externalAuthFailed: Reason = Object.freeze({
  code: 'external-auth-failed', status: 503, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'Whether this is allowed cannot be found out now.',
});

export const externalAuthBodyTooLarge: Reason = Object.freeze({
  code: 'external-auth-body-too-large', status: 413, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The request body is larger than can be decided on.',
});
