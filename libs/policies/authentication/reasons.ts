import type { Reason } from '@remora/errors/reason';

export const authenticationRequired: Reason = Object.freeze({
  code: 'authentication-required', status: 401, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'Credentials are needed for this.',
});

export const consumerUnmapped: Reason = Object.freeze({
  code: 'consumer-unmapped', status: 403, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The credentials are valid, but belong to no known client.',
});
