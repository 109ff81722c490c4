import { serve } from './service.ts';

/** The shop's front: every page needs an order. */
serve('web', async (incoming, call) => call('orders', `/orders${incoming.url ?? '/'}`, incoming));
