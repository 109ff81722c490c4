import type { Reason } from '@remora/errors/reason';

const reason = (code: string, status: number, title: string): Reason => Object.freeze({ code, status, flag: 'UAEX', origin: 'policy', retry: status === 503 ? 'always' : 'never', title });

export const signatureInvalid = reason('signature-invalid', 401, 'The signature of the request is not valid.');
export const signatureIncomplete = reason('signature-incomplete', 401, 'The signature does not cover what it must.');
export const signatureExpired = reason('signature-expired', 401, 'The signature is too old, or not good yet.');
export const signatureReplayed = reason('signature-replayed', 401, 'The signature was used before.');
export const contentDigestMismatch = reason('content-digest-mismatch', 401, 'The body is not the one that was signed.');
export const signatureOverload = reason('signature-overload', 503, 'Too many signatures are being verified.');
export const signatureWarming = reason('signature-warming', 503, 'Signing keys are not known yet.');
