/** Requests that sidecars refused, as their telemetry reported them. */
export interface RefusalSource {
  /** Newest first; empty where none is known any more. */
  refusals(requestId: string): readonly ReportedRefusal[];
}

/** One refusal in the words of a sidecar: from telemetry, or from its answer to `why`. */
export interface ReportedRefusal {
  readonly nodeId: string;
  readonly subject: string;
  readonly requestId: string;
  readonly at: string;
  readonly side: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly route: string;
  readonly destination: string;
  readonly status: number;
  readonly reason: string;
  readonly responseFlag: string;
  readonly kind: string;
  readonly pointer: string;
  readonly policy: string;
  readonly version: { readonly epoch: number; readonly index: number };
  readonly detail: string;
  readonly shadow: boolean;
}
