import type { HeldBody } from '@remora/policy-kit/exchange';

/** What filters are shown of a body, in memory. `complete` false: more was to come. */
export function heldBody(content: string | Uint8Array, complete = true): HeldBody {
  const all = typeof content === 'string' ? Buffer.from(content) : content;
  return { length: all.length, complete, trailers: null, bytes: (max) => all.subarray(0, max) };
}
