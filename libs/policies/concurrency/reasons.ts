import type { Reason } from '@remora/errors/reason';

/** As much is under way as the service can do in reasonable time. */
export const concurrencyLimited: Reason = Object.freeze({
  code: 'concurrency-limited', status: 503, flag: 'OM', origin: 'policy', retry: 'never', title: 'The service has more to do than it can: try again later.',
});
