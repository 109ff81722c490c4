/** One reason why a candidate cannot be enforced: what a NACK of class `invalid` carries. */
export interface SnapshotError {
  /** Name of the entry, e.g. `gateway/edge/orders-api`, `inbound port http`; `manifest` for the whole. */
  readonly resource: string;
  /** Policy kind, '' where the error is in no section. */
  readonly kind: string;
  /** JSON pointer into the section (with a kind) or into the document of the resource. */
  readonly pointer: string;
  /** Stable, kebab case. */
  readonly code: string;
  readonly message: string;
  /** Policies that decided the section, at most 16. */
  readonly policies: readonly string[];
}

/** At most this many errors are kept; a last one says how many more there were. */
export const snapshotErrorsMax = 100;

/** Collects errors up to the bound. */
export class SnapshotErrors {
  readonly #kept: SnapshotError[] = [];
  #more = 0;

  add(error: SnapshotError): void {
    if (this.#kept.length < snapshotErrorsMax) this.#kept.push(Object.freeze(error));
    else this.#more++;
  }

  get any(): boolean {
    return this.#kept.length > 0;
  }

  get count(): number {
    return this.#kept.length + this.#more;
  }

  list(): readonly SnapshotError[] {
    if (this.#more === 0) return Object.freeze([...this.#kept]);
    const more: SnapshotError = {
      resource: 'manifest', kind: '', pointer: '', code: 'more-errors', message: `${this.#more} more errors are not listed`, policies: [],
    };
    return Object.freeze([...this.#kept, Object.freeze(more)]);
  }
}
