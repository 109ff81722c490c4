import type { HeldBody } from './exchange.ts';

/** What is held of the body of a request that has none. */
export const noBody: HeldBody = Object.freeze({ length: 0, complete: true, trailers: null, bytes: () => nothing });

const nothing = new Uint8Array(0);
