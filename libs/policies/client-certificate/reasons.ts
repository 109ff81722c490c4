import type { Reason } from '@remora/errors/reason';

export const clientCertificateRefused: Reason = Object.freeze({
  code: 'client-certificate-refused', status: 403, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'This certificate is not accepted here.',
});

export const clientCertificateExpired: Reason = Object.freeze({
  code: 'client-certificate-expired', status: 401, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The certificate has expired.',
});
