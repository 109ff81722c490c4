import type { Head, HeaderId } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import type { EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { knownHeader } from '@remora/policy-kit/known-header';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { isTraceParent } from '@remora/policy-kit/trace-parent';
import { formatTraceParent, formatUuid4, formatUuid7 } from '@remora/policy-kit/uuid';
import { requestIdWire, type RequestIdSettings } from './wire.ts';

/** Keeps or makes the names of requests and traces. */
export const requestIdRuntime: RuntimeKind<RequestIdSettings> = {
  ...requestIdWire,
  side: 'provider',
  edge: makeRequestIdFilter,
};

const traceParentId: HeaderId = headerId('traceparent');
const traceStateId: HeaderId = headerId('tracestate');

function makeRequestIdFilter(settings: RequestIdSettings, context: FilterContext): EdgeFilter {
  const id = knownHeader(settings.header, '/header');
  const believes = whoIsBelieved(settings, context);
  const makeId = settings.format === 'uuid7'
    ? (x: Exchange) => formatUuid7(x.startedWallMs, context.random)
    : () => formatUuid4(context.random);
  const nameTrace = traceContextOf(settings, context);
  const filter: EdgeFilter = {
    kind: 'requestId',
    request(x) {
      const believed = believes(x);
      const head = x.head;
      const brought = believed && head.count(id) === 1 ? head.valueAt(id, 0) : '';
      if (isRequestId(brought)) x.requestId = brought;
      else {
        x.requestId = makeId(x);
        replaceText(head, id, x.requestId);
      }
      nameTrace?.(head, believed);
      return null;
    },
  };
  if (settings.echo === 'never') return filter;
  const always = settings.echo === 'always';
  filter.response = (x, head) => {
    // Whoever gets a failure can ask why, whoever made it.
    if (always || x.refusal !== null || head.status >= 500) replaceText(head, id, x.requestId);
  };
  return filter;
}

/** Of an id: every character of it is known. */
function replaceText(head: Head, id: HeaderId, text: string): void {
  if (head.has(id)) head.remove(id);
  head.putText(id, text);
}

function whoIsBelieved(settings: RequestIdSettings, context: FilterContext): (x: Exchange) => boolean {
  if (settings.accept === 'never') return () => false;
  if (settings.accept === 'always' || context.side !== 'gateway') return () => true;
  return (x) => x.connection.trusted;
}

/** An id is repeated in logs and headers: 1 to 128 visible characters without quotes and separators. */
function isRequestId(text: string): boolean {
  if (text.length === 0 || text.length > 128) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x21 || code > 0x7e || code === 0x22 || code === 0x2c || code === 0x3b || code === 0x5c) return false;
  }
  return true;
}

/** Removes a trace that is not believed or not valid, with its state; begins one where that is wanted. */
function traceContextOf(settings: RequestIdSettings, context: FilterContext): ((head: Head, believed: boolean) => void) | null {
  if (settings.traceContext === 'ignore') return null;
  const makes = settings.traceContext === 'make';
  const random = context.random;
  return (head, believed) => {
    if (head.has(traceParentId)) {
      if (believed && head.count(traceParentId) === 1 && isTraceParent(head.valueAt(traceParentId, 0))) return;
      head.remove(traceParentId);
    }
    if (head.has(traceStateId)) head.remove(traceStateId);
    if (!makes) return;
    const share = settings.traceSampling;
    head.putText(traceParentId, formatTraceParent(random, share >= 1 || (share > 0 && random.next() < share)));
  };
}
