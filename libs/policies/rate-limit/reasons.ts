import type { Reason } from '@remora/errors/reason';

export const rateLimited: Reason = Object.freeze({
  code: 'rate-limited', status: 429, flag: 'RL', origin: 'policy', retry: 'never', title: 'Too many requests.',
});
