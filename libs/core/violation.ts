/** One thing that is wrong with an input. Validation collects all of them; it never stops at the first. */
export interface Violation {
  /** `Policy/orders-api`, where the input has several documents. */
  readonly document?: string;
  /** File and line of the document, where the input came from files. */
  readonly source?: string;
  /** JSON pointer (RFC 6901) into the document. */
  readonly pointer: string;
  /** Stable code in kebab case, e.g. `unknown-field`. */
  readonly code: string;
  /** One sentence for a person. Never contains secret values. */
  readonly message: string;
  /** What would have been accepted, e.g. `duration such as 250ms or 5s`. */
  readonly expected?: string;
  /** The nearest accepted spelling: "did you mean". */
  readonly suggestion?: string;
}

/** Thrown at borders (API, CLI, decoding) where there is no other way to answer; inside, violations are returned. */
export class ViolationError extends Error {
  readonly violations: readonly Violation[];

  constructor(violations: readonly Violation[]) {
    super(violations.map((v) => `${v.document ?? ''}${v.pointer}: ${v.message}`).join('; '));
    this.name = 'ViolationError';
    this.violations = violations;
  }
}
