import type { Reason } from '@remora/errors/reason';

export const rateLimited: Reason = Object.freeze({
  code: 'rate-limited', status: 429, flag: 'RL', origin: 'policy', retry: 'never', title: 'Too many requests.',
});

/** `onStoreFailure: closed`, and the store of the Mesh says nothing. */
export const limitStoreUnavailable: Reason = Object.freeze({
  code: 'limit-store-unavailable', status: 503, flag: 'RLSE', origin: 'policy', retry: 'always', title: 'It cannot be counted whether there are too many requests.',
});
