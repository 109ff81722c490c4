import type { Reason } from '@remora/errors/reason';

/** Stands in logs and `why` where a fallback answered for a destination that had answered with a failure itself. The status is never sent. */
export const destinationFailed: Reason = Object.freeze({
  code: 'destination-failed', status: 503, flag: 'URX', origin: 'upstream', retry: 'never', title: 'The destination answered with a failure.',
});
