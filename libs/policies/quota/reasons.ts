import type { Reason } from '@remora/errors/reason';

export const quotaExceeded: Reason = Object.freeze({
  code: 'quota-exceeded', status: 429, flag: 'RL', origin: 'policy', retry: 'never', title: 'The quota is used up.',
});

/** `onStoreFailure: closed`, and the store of the Mesh says nothing. */
export const quotaStoreUnavailable: Reason = Object.freeze({
  code: 'quota-store-unavailable', status: 503, flag: 'RLSE', origin: 'policy', retry: 'always', title: 'It cannot be counted what is left of the quota.',
});
