import type { Reason } from '@remora/errors/reason';

export const ipDenied: Reason = Object.freeze({
  code: 'ip-denied',
  status: 403,
  flag: 'UAEX',
  origin: 'policy',
  retry: 'never',
  title: 'This address has no access.',
});
