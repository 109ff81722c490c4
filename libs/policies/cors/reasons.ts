import type { Reason } from '@remora/errors/reason';

/** A preflight is answered here; nothing is refused. */
export const corsPreflight: Reason = Object.freeze({
  code: 'cors-preflight',
  status: 204,
  flag: '',
  origin: 'policy',
  retry: 'never',
  title: 'The preflight was answered.',
});

export const corsOriginDenied: Reason = Object.freeze({
  code: 'cors-origin-denied',
  status: 403,
  flag: 'UAEX',
  origin: 'policy',
  retry: 'never',
  title: 'Pages of this origin may not call this address.',
});
