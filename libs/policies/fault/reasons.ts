import type { Reason } from '@remora/errors/reason';

/** The status is the one that the fault asks for; 503 stands for it in catalogues. */
export const faultInjected: Reason = Object.freeze({
  code: 'fault-injected', status: 503, flag: 'FI', origin: 'policy', retry: 'never', title: 'A fault was injected for a test.',
});
