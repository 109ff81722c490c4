import type { Reason } from '@remora/errors/reason';

/** The engine's own limits refuse with `headers-too-large` and `request-timeout`; this kind adds one. */
export const bodyTooLarge: Reason = Object.freeze({
  code: 'body-too-large',
  status: 413,
  flag: 'DPE',
  origin: 'policy',
  retry: 'never',
  title: 'The request body is larger than allowed.',
});
