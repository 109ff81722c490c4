import { serve } from './service.ts';

/** Orders: each needs to know whether it was paid. */
serve('orders', async (incoming, call) => call('payments', `/payments?for=${encodeURIComponent(incoming.url ?? '/')}`, incoming));
