import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import type { z } from 'zod';

/**
 * The control plane's half of a policy kind: `schema.ts` and `compile.ts`. Registered by name in
 * `control-plane/src/kinds.ts`.
 *
 * A section as authored has every field optional: levels are merged first (objects by field, `record` maps by key,
 * null removes an entry, arrays and scalars replace, a discriminated union replaces whole when its tag changes), then
 * `defaults` fill what is missing, then `check` looks at the whole.
 */
export interface AuthoringKind {
  readonly name: string;
  /** Where it is enforced: by the target's own sidecar or gateway, or by those who call it. */
  readonly side: 'provider' | 'caller';
  /**
   * Holds for TCP connections too. Of the other kinds nothing is enforced on ports that carry TCP: inherited they are ignored there, and a policy whose
   * target has nothing but such ports is refused.
   */
  readonly tcp?: boolean;
  /**
   * `services`: it holds for Services alone. Gateways do not inherit it, and a policy whose target is one is refused where it sets it. Absent: for both.
   */
  readonly owners?: 'services';
  /** Enforced with its defaults even where no policy sets it. */
  readonly always: boolean;
  /**
   * Kinds of the same side that bring this one along: where one of them is in effect it is too, with its defaults where no policy sets it. In shadow
   * unless told otherwise where all of them are.
   */
  readonly impliedBy?: readonly string[];
  /**
   * Kinds of the same side that the effective section asks for by name. Where no policy says anything of one of them, and it needs nothing but its defaults, it is in effect
   * with them; in shadow where this one is.
   */
  brings?(effective: JsonObject): readonly string[];
  /** Whether `enforcement: shadow` is accepted: every kind that can refuse or change a request. */
  readonly shadow: boolean;
  /** Highest format of its message that `compile` can write. */
  readonly format: number;
  /** Strict object of the section without `enabled` and `enforcement`, which the model adds to every kind. */
  readonly schema: z.ZodObject;
  /**
   * Fields that hold for a whole listener or inbound port, because they act before a Route is known: a policy whose target
   * is a Route is refused where it sets one. Names of top-level fields.
   */
  readonly listenerOnly?: readonly string[];
  /**
   * What one caller has one of for each destination, such as its connections and what it holds against hosts: a policy whose target is a Route is refused where
   * it sets it. True: the whole kind; else names of top-level fields.
   */
  readonly perDestination?: true | readonly string[];
  /** Values of fields that no level sets. Same shape as the section; maps have no default entries. */
  readonly defaults: JsonObject;
  /** Defaults of each entry of a named map, by pointer pattern: `/limits/*` → {burst: 1}. */
  readonly entryDefaults?: Readonly<Record<string, JsonObject>>;
  /**
   * One sentence of why an effective section contradicts itself; pointers into the section. Code `contradiction` says that nobody can mean it and that `compile` takes it
   * all the same: what an older build took is then enforced as before and told, instead of holding everything up.
   */
  check?(effective: JsonObject): Violation[];
  /**
   * Why a section as one policy writes it contradicts itself, where the merged one may not: what is inherited and overridden is no mistake, what one author
   * writes side by side is. Pointers into the section.
   */
  checkWritten?(section: JsonObject): Violation[];
  /** The same over what stands beside it, for kinds with `impliedBy`. */
  checkAmong?(effective: JsonObject, beside: BesideSection): Violation[];
  /**
   * Why it contradicts other kinds of its side at the same place: a delay beyond a limit that ends the call before. `others`: the sections that are on there,
   * merged and with defaults, by kind. Pointers into the own section.
   */
  checkBeside?(effective: JsonObject, others: ReadonlyMap<string, JsonObject>): Violation[];
  /** Whether the sidecar does the same without the section: then it does not travel. */
  isUsual?(effective: JsonObject): boolean;
  /**
   * Whether its sidecars must know the API's clients: names, groups, plans and identities (true), and beside them what proves them in these ways. What no
   * effective kind asks for is not sent.
   */
  readonly consumers?: true | readonly ConsumerProof[];
  /** Names of the Secrets that these settings refer to: their values go to the sidecars that enforce them, and to no others. */
  secrets?(effective: JsonObject): readonly string[];
  /**
   * What these settings need of counts that instances share: the store of the Mesh, and the number of the own instances. `plans`: what limits and quotas of
   * Plans need.
   */
  sharing?(effective: JsonObject, plans: PlanSharing): Sharing;
  /** Pure and total on what `schema` and `check` accept. Units normalised, maps sorted. `inEffect`: as in `BesideSection`. */
  compile(effective: JsonObject, inEffect?: readonly string[]): CompiledSection;
}

/** What counts that several instances share need. */
export interface Sharing {
  /** The Redis of the Mesh. */
  readonly store: boolean;
  /** How many instances of the own service or gateway are live. */
  readonly instances: boolean;
}

/** The same of Plans. */
export interface PlanSharing {
  readonly limits: Sharing;
  /** Some Plan has quotas. */
  readonly quotas: boolean;
}

/** What stands beside a section at its place. */
export interface BesideSection {
  /** Those of `impliedBy` that are in effect, sorted; those in shadow only where the section itself is in shadow. */
  readonly inEffect: readonly string[];
  /** Some policy sets the section for one service, gateway or Route: its author meant this place. */
  readonly narrow: boolean;
}

/** What proves consumers. */
export const consumerProofs = ['apiKey', 'basic', 'hmac', 'jwt', 'certificate'] as const;
export type ConsumerProof = (typeof consumerProofs)[number];

export interface CompiledSection {
  /** Lowest format that can read the bytes. */
  readonly minFormat: number;
  readonly body: Uint8Array;
}
