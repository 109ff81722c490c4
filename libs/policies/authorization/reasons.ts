import type { Reason } from '@remora/errors/reason';

export const authorizationDenied: Reason = Object.freeze({
  code: 'authorization-denied', status: 403, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'This is not allowed.',
});
