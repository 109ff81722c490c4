import { headerId } from '@remora/http/header-ids';
import type { Exchange } from './exchange.ts';
import { isTraceParent } from './trace-parent.ts';

/** Id of an exchange's trace: 32 hexadecimal digits, whether or not spans are recorded here; '' without a valid `traceparent`. */
export function traceIdOf({ head, trace }: Exchange): string {
  if (trace?.recorded === true) return trace.traceId;
  const text = head.count(traceParentHeader) === 1 ? head.valueAt(traceParentHeader, 0) : '';
  return isTraceParent(text) ? text.slice(3, 35) : '';
}

const traceParentHeader = headerId('traceparent');
