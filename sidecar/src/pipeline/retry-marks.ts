import { headerId, makeField } from '@remora/http/header-ids';
import type { Head } from '@remora/http/head';
import type { Exchange } from '@remora/policy-kit/exchange';
import type { ThreadContext } from '../io/thread-context.ts';

/** A request for the own app that is a retry of another hop: what the app calls for it is not tried again by this hop, even where the app does not say so. */
export function noteRetryOf(x: Exchange, { hops, turn }: Pick<ThreadContext, 'hops' | 'turn'>): void {
  if (Number(x.head.valueAt(attemptHeader, 0)) > 1) hops.noteRetry(x, turn.now());
}

/** The own app fails, and a call that it made for this request has had all its attempts here: whoever called is told not to try again. */
export function markSpent(x: Exchange, head: Head, { hops, turn }: Pick<ThreadContext, 'hops' | 'turn'>): void {
  if (x.pin.side === 'inbound' && !head.has(retryHeader) && hops.isSpent(x, turn.now())) head.put(spentField);
}

export const attemptHeader = headerId('x-remora-attempt');
const retryHeader = headerId('x-remora-retry');
const spentField = makeField('x-remora-retry', 'spent');
