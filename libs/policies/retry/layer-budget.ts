import { HopNotes } from '@remora/policy-kit/hop-notes';
import type { AttemptBudget } from '@remora/policy-kit/attempt-budget';
import type { FilterContext, SharedMemory } from '@remora/policy-kit/runtime-kind';
import { exhaustedForMs, RetryBudget, type BudgetTerms } from './retry-budget.ts';

/**
 * The budget of a destination as the calls of one layer use it, by the terms of its settings: retries, and hedges of the layer inside. Counts what is
 * denied, and reports when the budget comes to its end and when it has recovered.
 */
export class LayerBudget implements AttemptBudget {
  readonly #budget: RetryBudget;
  readonly #terms: BudgetTerms;
  readonly #context: FilterContext;
  readonly #notes: SharedMemory | null;
  readonly #denied: () => void;
  #begun = false;
  /** Somebody of this thread, or before this snapshot, was denied: who sends next looks whether that is over. */
  #denying = false;

  constructor(terms: BudgetTerms, context: FilterContext) {
    this.#terms = terms;
    this.#context = context;
    this.#denied = context.counter('retry_budget_exhausted');
    const key = `retryBudget/${destinationOf(context.scope)}`;
    const memory = context.shared?.(key, '', RetryBudget.bytes) ?? null;
    this.#notes = context.shared?.('hopNotes', '', HopNotes.bytes) ?? null;
    // The same for all Routes to the destination and over snapshots: a push does not grant a herd of fresh retries.
    this.#budget = context.live.keep(key, '', () => new RetryBudget(memory ?? { buffer: new ArrayBuffer(RetryBudget.bytes) }));
  }

  /** A first attempt begins. */
  sent(nowMs: number): void {
    if (!this.#begun) this.#begin();
    if (this.#denying) this.#look(nowMs);
    this.#budget.sent(nowMs);
  }

  take(nowMs: number): boolean {
    if (this.#budget.take(nowMs, this.#terms)) return true;
    this.#denied();
    this.#denying = true;
    if (this.#budget.exhausted(nowMs)) {
      const { sent, retried } = this.#budget.lately(nowMs);
      this.#tell('exhausted', `${retried} further attempts for ${sent} requests in a second; ${Math.round(this.#terms.ratio * 1000) / 10} % and ${this.#terms.minPerSecond} per second are allowed`, nowMs + exhaustedForMs);
    }
    return false;
  }

  /** The memory that was asked for when the layer was built is there by now. */
  #begin(): void {
    this.#begun = true;
    this.#context.hops.use(this.#notes);
    this.#denying = this.#budget.denying;
  }

  #look(nowMs: number): void {
    if (this.#budget.replenished(nowMs)) this.#tell('replenished', 'no attempt was denied for 10 s', 0);
    this.#denying = this.#budget.denying;
  }

  #tell(event: string, detail: string, untilMs: number): void {
    this.#context.event({ event, service: destinationOf(this.#context.scope), host: '', pointer: '/budget', detail, untilMs });
  }
}

/** `payments` of `outbound/web/to/payments/route`: neither the Route nor who of a gateway asks makes a budget of its own. */
function destinationOf(scope: string): string {
  const to = scope.lastIndexOf('/to/');
  return scope.slice(to < 0 ? scope.indexOf('/') + 1 : to + 4, scope.lastIndexOf('/'));
}
