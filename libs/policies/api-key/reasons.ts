import type { Reason } from '@remora/errors/reason';

export const apiKeyInvalid: Reason = Object.freeze({
  code: 'api-key-invalid', status: 401, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The API key is not valid.',
});

export const apiKeyExpired: Reason = Object.freeze({
  code: 'api-key-expired', status: 401, flag: 'UAEX', origin: 'policy', retry: 'never', title: 'The API key has expired.',
});

export const apiKeyWarming: Reason = Object.freeze({
  code: 'api-key-warming', status: 503, flag: 'UAEX', origin: 'policy', retry: 'always', title: 'API keys are not known yet.',
});
