import type { Reason } from '@remora/errors/reason';

/** The engine's own limits refuse with `headers-too-large` and `request-timeout`; this kind adds two. */
export const bodyTooLarge: Reason = Object.freeze({
  code: 'body-too-large',
  status: 413,
  flag: 'DPE',
  origin: 'policy',
  retry: 'never',
  title: 'The request body is larger than allowed.',
});

export const messageTooLarge: Reason = Object.freeze({
  code: 'grpc-message-too-large',
  status: 413,
  flag: 'DPE',
  origin: 'policy',
  retry: 'never',
  title: 'A message of the request is larger than allowed.',
});
