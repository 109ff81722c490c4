import type { Reason } from '@remora/errors/reason';

export const mtlsRequired: Reason = Object.freeze({
  code: 'mtls-required',
  status: 403,
  flag: 'UAEX',
  origin: 'policy',
  retry: 'never',
  title: 'This service takes callers with a certificate of the mesh only.',
});
