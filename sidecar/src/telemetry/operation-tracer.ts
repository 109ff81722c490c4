/** Spans of the control thread's own work, for those who watch how an edit spreads. Without an exporter nothing happens. */
export interface OperationTracer {
  begin(name: string, attributes?: Readonly<Record<string, string | number>>): Operation;
}

export interface Operation {
  begin(name: string): Operation;
  /** `error` where it did not succeed. */
  end(error?: string): void;
}

const nothing: Operation = { begin: () => nothing, end: () => {} };

export const noTracer: OperationTracer = { begin: () => nothing };
