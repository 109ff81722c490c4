import type { Json, JsonObject } from '@remora/core/canonical-json';
import type { Subject } from '@remora/core/subject';

/** Where settings are asked for. */
export interface Place {
  /** Provider side: whose sidecar enforces. Caller side: who is called. */
  readonly owner: Subject;
  /** Route of the owner; absent: none matched. */
  readonly route?: string;
  /** Caller-side kinds: who calls; with the gateway's route where a gateway calls. */
  readonly caller?: Subject & { readonly labels?: Readonly<Record<string, string>>; readonly route?: string };
}

/** The settings of one kind at one place. */
export interface EffectiveSection {
  readonly kind: string;
  /** After merging, defaults, entry defaults, null and `enabled`. Without `enabled` and `enforcement`. */
  readonly value: JsonObject;
  readonly shadow: boolean;
  /** One per leaf value. */
  readonly provenance: readonly FieldProvenance[];
}

/** Answer to "why has this field this value". */
export interface FieldProvenance {
  /** JSON pointer from the policy document: `/retry/retries`. */
  readonly pointer: string;
  readonly value: Json;
  /** `default` where no policy sets it. */
  readonly winner: PolicyRef | 'default';
  /** Strongest first. */
  readonly losers: readonly { readonly policy: PolicyRef; readonly value: Json }[];
  /** One sentence: why the winner is stronger. */
  readonly why: string;
  /** Bounds that hold here, with their policies. */
  readonly bounds: readonly { readonly policy: string; readonly text: string }[];
}

export interface PolicyRef {
  readonly policy: string;
  /** `{service: payments} from {service: batch}`. */
  readonly target: string;
  readonly strength: number;
}
