import { reasons } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Answer, EdgeFilter, Exchange } from './exchange.ts';
import type { RequestIdentity } from './request-identity.ts';

/**
 * `enforcement: shadow`: the filter decides as usual, `record` hears what it would have refused, and the request and
 * its response pass untouched. Edits go to a fork that is thrown away. Bodies are not shown to a filter in shadow: its
 * sinks may withhold or change bytes.
 */
export function shadowed(filter: EdgeFilter, record: (x: Exchange, answer: Answer) => void): EdgeFilter {
  const shadow: { -readonly [F in keyof EdgeFilter]: EdgeFilter[F] } = {
    kind: filter.kind,
    request(x) {
      const answer = decide(filter, x);
      if (answer !== null) record(x, answer);
      return null;
    },
  };
  if (filter.concerns) shadow.concerns = (x) => filter.concerns?.(x) ?? [];
  if (filter.late) shadow.late = shadowed(filter.late, record);
  if (filter.response) shadow.response = (x, head) => watchResponse(filter, x, head);
  if (filter.answer) shadow.answer = (x, answer) => watchAnswer(filter, x, answer);
  if (filter.complete) shadow.complete = (x) => filter.complete?.(x);
  return shadow;
}

/** What the filter would have answered, null where it passes. A filter that waits has not refused. */
function decide(filter: EdgeFilter, x: Exchange): Answer | null {
  if (!filter.request) return null;
  const restore = keepUntouched(x);
  x.head = x.head.fork();
  const enforced = x.identity;
  x.identity = shadowView(x);
  try {
    const verdict = filter.request(x);
    return verdict === null || typeof verdict === 'symbol' ? null : verdict;
  } catch (error) {
    return failed(filter.kind, error);
  } finally {
    x.shadowIdentity = x.identity;
    x.identity = enforced;
    restore();
    // Whatever the filter has still under way refers to the token it saw: from here on it is stale.
    x.token += 1;
  }
}

/** Who the request is from if what is in shadow were enforced too: what a kind finds in shadow lets nobody in and is no consumer of anybody who counts. */
function shadowView({ identity, shadowIdentity }: Exchange): RequestIdentity | null {
  if (identity === null) return shadowIdentity;
  const view = identity.copy();
  if (shadowIdentity !== null) view.add(shadowIdentity);
  return view;
}

function watchResponse(filter: EdgeFilter, x: Exchange, head: Head): void {
  const restore = keepUntouched(x);
  const fork = head.fork();
  if (x.responseHead === head) x.responseHead = fork;
  try {
    filter.response?.(x, fork);
  } catch {
    // A response that would have failed passes like any other; `request` is where verdicts are recorded.
  } finally {
    restore();
  }
}

function watchAnswer(filter: EdgeFilter, x: Exchange, answer: Answer): Answer {
  const restore = keepUntouched(x);
  try {
    filter.answer?.(x, answer);
  } catch {
    // As above: the answer goes out as it was.
  } finally {
    restore();
  }
  return answer;
}

/** Everything of the exchange that a filter may set, apart from its own slot. */
function keepUntouched(x: Exchange): () => void {
  const { head, responseHead, requestId, clientAddress, deadlineAt, refusal, wantsRequestBody, wantsResponseBody, pathNames, pathValues } = x;
  return () => {
    x.head = head;
    x.responseHead = responseHead;
    x.requestId = requestId;
    x.clientAddress = clientAddress;
    x.deadlineAt = deadlineAt;
    x.refusal = refusal;
    x.wantsRequestBody = wantsRequestBody;
    x.wantsResponseBody = wantsResponseBody;
    x.pathNames = pathNames;
    x.pathValues = pathValues;
  };
}

function failed(kind: string, error: unknown): Answer {
  const detail = error instanceof Error ? error.message : String(error);
  return { reason: reasons.filterFailed, status: reasons.filterFailed.status, fields: [], body: null, contentType: '', detail, kind, pointer: '' };
}
