import { headerId } from '@remora/http/header-ids';
import type { MessageHead } from '@remora/http/message-head';
import type { ExchangeTrace } from '@remora/policy-kit/exchange';
import type { AttemptSpan } from '../records/attempt-span.ts';

/**
 * Where one exchange stands in its trace. `undecided` until the filters have said whose trace context is believed; then its
 * ids are known, or its spans are not recorded.
 */
export class RequestTrace implements ExchangeTrace {
  /** `traceparent` as it arrived; '' for none, or several. */
  readonly brought: string;
  /** Version of HTTP where the head does not say it; ''. */
  readonly protocol: string;
  state: 'undecided' | 'recorded' | 'ignored' = 'undecided';
  traceId = '';
  spanId = '';
  /** '' where the trace begins here. */
  parentId = '';
  flags = 0;
  /** Seen by the attempt that ended last; -1: none. */
  grpcStatus = -1;
  /** The attempt that began last. */
  attempt: AttemptSpan | null = null;

  constructor(brought: string, protocol: string) {
    this.brought = brought;
    this.protocol = protocol;
  }

  get recorded(): boolean {
    return this.state === 'recorded';
  }

  /** The `traceparent` of a child of the span `spanId` (W3C Trace Context, section 3.2: version 00, known flags only). */
  childContext(spanId: string): string {
    return `00-${this.traceId}-${spanId}-${(this.flags & 3) === 3 ? '03' : '01'}`;
  }
}

/** The one value, or ''. */
export function traceParentOf(head: MessageHead): string {
  return head.count(traceParentHeader) === 1 ? head.valueAt(traceParentHeader, 0) : '';
}

/** Replaces every value. */
export function setTraceParent(head: MessageHead, text: string): void {
  head.remove(traceParentHeader);
  head.putText(traceParentHeader, text);
}

export function removeTraceState(head: MessageHead): void {
  head.remove(traceStateHeader);
}

const traceParentHeader = headerId('traceparent');
const traceStateHeader = headerId('tracestate');
