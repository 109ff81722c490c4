import type { Reason } from '@remora/errors/reason';

/** The breaker of the destination is open, or tries it with a few calls of which this is none. */
export const circuitOpen: Reason = Object.freeze({
  code: 'circuit-open', status: 503, flag: 'UO', origin: 'policy', retry: 'never', title: 'The destination is failing: nothing is sent to it just now.',
});
