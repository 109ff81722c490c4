import type { Reason } from '@remora/errors/reason';

export const clientCertificateRefused: Reason = Object.freeze({
  code: 'client-certificate-refused', status: 403, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'This certificate is not accepted here.',
});

export const clientCertificateExpired: Reason = Object.freeze({
  code: 'client-certificate-expired', status: 401, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The certificate has expired.',
});

export const clientCertificateRevoked: Reason = Object.freeze({
  code: 'client-certificate-revoked', status: 403, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The certificate is revoked.',
});

/** A list is missing, is of another authority, or its time is over: not the client's fault. */
export const clientCertificateUnchecked: Reason = Object.freeze({
  code: 'client-certificate-unchecked', status: 503, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'Whether the certificate is revoked cannot be told.',
});
