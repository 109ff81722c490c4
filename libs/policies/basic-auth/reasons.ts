import type { Reason } from '@remora/errors/reason';

export const basicAuthInvalid: Reason = Object.freeze({
  code: 'basic-auth-invalid', status: 401, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'Name or password is wrong.',
});

export const basicAuthExpired: Reason = Object.freeze({
  code: 'basic-auth-expired', status: 401, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The password has expired.',
});

export const basicAuthOverload: Reason = Object.freeze({
  code: 'basic-auth-overload', status: 503, flag: 'UAEX', origin: 'policy', retry: 'always', title: 'Too many passwords are being verified.',
});

export const basicAuthWarming: Reason = Object.freeze({
  code: 'basic-auth-warming', status: 503, flag: 'UAEX', origin: 'policy', retry: 'always', title: 'Passwords are not known yet.',
});
