import type { Reason } from '@remora/errors/reason';
import type { Head } from '@remora/http/head';
import type { Sink, Source } from './exchange.ts';
import type { Deferred, FilterContext } from './runtime-kind.ts';

/** A whole answer that a layer makes itself, played as fast as it is taken. Source of the response body. */
export class OwnAnswer implements Source, Deferred {
  readonly #context: Pick<FilterContext, 'later'>;
  readonly #response: Sink;
  readonly #body: Uint8Array;
  #at = 0;
  #over = false;
  #scheduled = false;

  constructor(response: Sink, body: Uint8Array, context: Pick<FilterContext, 'later'>) {
    this.#context = context;
    this.#response = response;
    this.#body = body;
  }

  /** `bodiless`: the answer of HEAD, 204 and the like: the head says how long the body would be. */
  begin(head: Head, bodiless: boolean): void {
    const end = bodiless || this.#body.length === 0;
    this.#over = end;
    this.#response.head(head, end);
    if (!end) this.#pump();
  }

  resume(): void {
    if (this.#over || this.#scheduled) return;
    this.#scheduled = true;
    this.#context.later(this);
  }

  runLater(): void {
    this.#scheduled = false;
    this.#pump();
  }

  stop(_reason: Reason): void {
    this.#over = true;
  }

  #pump(): void {
    while (!this.#over) {
      const at = this.#at;
      const to = Math.min(this.#body.length, at + chunkBytes);
      this.#at = to;
      this.#over = to === this.#body.length;
      if (!this.#response.data(this.#body, at, to, this.#over)) return;
    }
  }
}

/** As much as one read brings. */
const chunkBytes = 64 * 1024;
