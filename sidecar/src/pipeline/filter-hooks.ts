import { headerId } from '@remora/http/header-ids';
import type { MessageHead } from '@remora/http/message-head';
import type { Answer, EdgeFilter, Exchange, HOLD, HeldBody, Verdict } from '@remora/policy-kit/exchange';
import type { ThreadContext } from '../io/thread-context.ts';
import { markSpent } from './retry-marks.ts';

/** Calls the hooks of the filters of an exchange. What one throws is told to `failures`, whose answer takes its place. */
export class FilterHooks {
  readonly #failures: FilterFailures;

  constructor(failures: FilterFailures) {
    this.#failures = failures;
  }

  ask(filter: EdgeFilter, x: Exchange): Verdict | typeof HOLD {
    try {
      return filter.request?.(x) ?? null;
    } catch (error) {
      return this.#failures.filterFailed(filter.kind, error);
    }
  }

  askHolding(filter: EdgeFilter, x: Exchange, body: HeldBody): Verdict {
    try {
      if (filter.requestHeld === undefined) throw new Error('it asks for the body and has no use for it');
      return filter.requestHeld(x, body);
    } catch (error) {
      return this.#failures.filterFailed(filter.kind, error);
    }
  }

  /** What a client is told in place of `answer`: by the filters whose `request` ran, the last one first. */
  rewrite(filters: readonly EdgeFilter[], passed: number, x: Exchange, answer: Answer): Answer {
    let shown = answer;
    for (let i = passed - 1; i >= 0; i--) {
      const filter = filters[i] as EdgeFilter;
      if (filter.answer === undefined) continue;
      try {
        shown = filter.answer(x, shown);
      } catch (error) {
        shown = this.#failures.filterFailed(filter.kind, error);
      }
    }
    return shown;
  }

  /** In reverse, by the filters whose `request` ran. Answers what went wrong. */
  response(filters: readonly EdgeFilter[], passed: number, x: Exchange, head: MessageHead): Answer | null {
    if (head.status >= 500 || head.has(grpcStatusHeader)) markSpent(x, head, this.#failures.thread);
    for (let i = passed - 1; i >= 0; i--) {
      const filter = filters[i] as EdgeFilter;
      if (filter.response === undefined) continue;
      try {
        filter.response(x, head);
      } catch (error) {
        return this.#failures.filterFailed(filter.kind, error);
      }
    }
    return null;
  }

  /** Filters that only look at the end see every exchange; the others those that came to them. */
  complete(filters: readonly EdgeFilter[], passed: number, x: Exchange): void {
    for (let i = 0; i < filters.length; i++) {
      const filter = filters[i] as EdgeFilter;
      if (filter.complete === undefined || (i >= passed && filter.request !== undefined)) continue;
      try {
        filter.complete(x);
      } catch (error) {
        this.#failures.filterFailed(filter.kind, error);
      }
    }
  }
}

export interface FilterFailures {
  readonly thread: Pick<ThreadContext, 'hops' | 'turn'>;
  /** Counts and logs it; answers what the client is told. */
  filterFailed(kind: string, error: unknown): Answer;
}

const grpcStatusHeader = headerId('grpc-status');
