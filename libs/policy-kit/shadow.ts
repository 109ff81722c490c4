import { reasons } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import { HOLD, type Answer, type EdgeFilter, type Exchange, type HeldBody, type Sink, type Verdict } from './exchange.ts';
import { noBody } from './no-body.ts';
import type { RequestIdentity } from './request-identity.ts';
import type { FilterContext } from './runtime-kind.ts';
import { ShadowBodySink } from './shadow-body.ts';

/**
 * `enforcement: shadow`: the filter decides as usual, `record` hears what it would have refused, and the request and
 * its response pass untouched. Edits go to a fork that is thrown away. Bodies do not go through the sinks of a filter in shadow, which may withhold or change
 * bytes; one that wants to see the body first (HOLD) gets what it wants of a copy, while the body passes: with the head as it was then. `place`: where the
 * filter stands; without one it decides as if there were no body.
 */
export function shadowed(filter: EdgeFilter, record: (x: Exchange, answer: Answer) => void, place: ShadowPlace | null = null): EdgeFilter {
  const held = place === null || filter.holdBytes === undefined ? null : new ShadowHold(filter, record, place);
  const shadow: { -readonly [F in keyof EdgeFilter]: EdgeFilter[F] } = {
    kind: filter.kind,
    request(x) {
      const answer = decide(filter, x, held);
      if (answer !== null) record(x, answer);
      if (held?.waits(x) === true) x.wantsRequestBody |= held.bodyBit;
      return null;
    },
  };
  if (held !== null) shadow.requestBody = (x, next) => held.watch(x, next);
  if (filter.concerns) shadow.concerns = (x) => filter.concerns?.(x) ?? [];
  if (filter.late) shadow.late = shadowed(filter.late, record);
  if (filter.response) shadow.response = (x, head) => watchResponse(filter, x, head);
  if (filter.answer) shadow.answer = (x, answer) => watchAnswer(filter, x, answer);
  if (filter.complete) shadow.complete = (x) => filter.complete?.(x);
  return shadow;
}

/** Of the filter's context. */
export type ShadowPlace = Pick<FilterContext, 'bodyBit' | 'slot'>;

/** What a filter in shadow saw of the exchange when it asked for the body. */
interface Seen {
  readonly head: Exchange['head'];
  readonly identity: RequestIdentity | null;
}

/** A filter in shadow that wants to see the body. */
class ShadowHold {
  readonly bodyBit: number;
  readonly #slot: number;
  readonly #filter: EdgeFilter;
  readonly #record: (x: Exchange, answer: Answer) => void;

  constructor(filter: EdgeFilter, record: (x: Exchange, answer: Answer) => void, place: ShadowPlace) {
    this.#filter = filter;
    this.#record = record;
    this.bodyBit = place.bodyBit;
    this.#slot = place.slot();
  }

  keep(x: Exchange): void {
    x.slots[this.#slot] = { head: x.head, identity: x.identity } satisfies Seen;
  }

  waits(x: Exchange): boolean {
    return x.slots[this.#slot] !== undefined;
  }

  watch(x: Exchange, next: Sink): Sink {
    return new ShadowBodySink(next, this.#filter.holdBytes ?? 0, (body) => this.#decide(x, x.slots[this.#slot] as Seen, body));
  }

  #decide(x: Exchange, seen: Seen, body: HeldBody): void {
    const restore = keepUntouched(x);
    const { token, identity } = x;
    x.head = seen.head;
    x.identity = seen.identity;
    // Never the engine's: whatever the filter has under way afterwards is stale.
    x.token = -1;
    try {
      const answer = answerIn(this.#filter.requestHeld?.(x, body) ?? null);
      if (answer !== null) this.#record(x, answer);
    } catch (error) {
      this.#record(x, failed(this.#filter.kind, error));
    } finally {
      restore();
      x.identity = identity;
      x.token = token;
    }
  }
}

function answerIn(verdict: Verdict | typeof HOLD): Answer | null {
  return verdict === null || typeof verdict === 'symbol' ? null : verdict;
}

/** What the filter would have answered, null where it passes. A filter that waits has not refused. */
function decide(filter: EdgeFilter, x: Exchange, held: ShadowHold | null): Answer | null {
  if (!filter.request) return null;
  const restore = keepUntouched(x);
  x.head = x.head.fork();
  const enforced = x.identity;
  x.identity = shadowView(x);
  try {
    const verdict = filter.request(x);
    if (verdict !== HOLD) return answerIn(verdict);
    const hasBody = x.head.bodyLength !== 0 && x.head.protocol === '';
    if (held === null || !hasBody) return answerIn(filter.requestHeld?.(x, noBody) ?? null);
    held.keep(x);
    return null;
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
