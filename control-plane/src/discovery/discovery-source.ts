import type { AskedSource, DiscoveryDocument } from '@remora/model/discovery-schema';
import type { FoundInstance } from './found-instance.ts';

/**
 * One way to learn where instances are: DNS, Consul, Kubernetes, files. It reports what it finds and what goes wrong, and decides nothing:
 * what is kept when it fails, empties or lies is the business of `SourceHold`. All implementations pass `testdata/source-contract.ts`.
 */
export interface DiscoverySource {
  readonly kind: AskedSource;
  /** Follows what feeds one Service until the answer is closed. The first report may come at once, and also within this call. */
  follow(target: SourceTarget, observer: SourceObserver): Following;
  /** Ends everything that is still followed, and gives back connections. */
  close(): void;
}

/** What of a Service a source needs to know. */
export interface SourceTarget {
  readonly service: string;
  /** Ports of the document, in order of their names. */
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly discovery: DiscoveryDocument;
}

export interface SourceObserver {
  /**
   * Everything that the source has for the target now, none included; told also where it is the same as before, so that its age is known.
   * `problems`: what of the answer could not be used, in sentences; at most 16.
   */
  answered(instances: readonly FoundInstance[], problems: readonly string[]): void;
  /** The source gave no answer: a sentence that names it and says why. It goes on trying by itself. */
  failed(message: string): void;
}

export interface Following {
  /** Nothing is reported afterwards. */
  close(): void;
}
