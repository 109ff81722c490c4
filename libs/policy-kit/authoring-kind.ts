import type { Json, JsonObject } from '@remora/core/canonical-json';
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
  /** Enforced with its defaults even where no policy sets it. */
  readonly always: boolean;
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
  /** Values of fields that no level sets. Same shape as the section; maps have no default entries. */
  readonly defaults: JsonObject;
  /** Defaults of each entry of a named map, by pointer pattern: `/limits/*` → {burst: 1}. */
  readonly entryDefaults?: Readonly<Record<string, JsonObject>>;
  /** One sentence of why an effective section contradicts itself; pointers into the section. */
  check?(effective: JsonObject): Violation[];
  /** Pure and total on what `schema` and `check` accept. Units normalised, maps sorted. */
  compile(effective: JsonObject): CompiledSection;
}

export interface CompiledSection {
  /** Lowest format that can read the bytes. */
  readonly minFormat: number;
  readonly body: Uint8Array;
}

/** A value with the policy that set it, as resolve hands it around. */
export interface Sourced {
  readonly value: Json;
  readonly policy: string;
}
