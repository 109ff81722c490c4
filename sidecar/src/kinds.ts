import type { RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { timeoutRuntime } from '@remora/policy-timeout/filter';

/** Every kind that this sidecar can enforce, by name. Their order is in `policy-kit/order.ts`. */
export const runtimeKinds: ReadonlyMap<string, RuntimeKind<unknown>> = new Map([
  register(timeoutRuntime),
]);

/** Forgets the settings type: `edge` and `layer` are given only what `decode` of the same kind returned. */
function register<S>(kind: RuntimeKind<S>): [string, RuntimeKind<unknown>] {
  return [kind.name, kind];
}
