import { serve } from './service.ts';

/** Payments: the end of the chain. */
serve('payments', async () => ({ status: 200, body: null }));
