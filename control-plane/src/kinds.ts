import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import type { WireKind } from '@remora/policy-kit/runtime-kind';
import { timeoutAuthoring } from '@remora/policy-timeout/compile';
import { timeoutWire } from '@remora/policy-timeout/wire';

/** Every kind that this control plane can validate and compile, by name. Their order is in `policy-kit/order.ts`. */
export const authoringKinds: ReadonlyMap<string, AuthoringKind> = byName([
  timeoutAuthoring,
]);

/** The sidecar's own decoders: what is about to be pushed is read with them first. */
export const wireKinds: ReadonlyMap<string, WireKind<unknown>> = byName<WireKind<unknown>>([
  timeoutWire,
]);

function byName<K extends { readonly name: string }>(kinds: readonly K[]): ReadonlyMap<string, K> {
  return new Map(kinds.map((kind) => [kind.name, kind]));
}
