import type { Reason } from '@remora/errors/reason';

/** The status is the authorizer's; 403 where it names none. */
export const externalAuthDenied: Reason = Object.freeze({
  code: 'external-auth-denied', status: 403, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'This is not allowed.',
});

export const externalAuthFailed: Reason = Object.freeze({
  code: 'external-auth-failed', status: 503, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'Whether this is allowed cannot be found out now.',
});
