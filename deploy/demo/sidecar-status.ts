import type { World } from './world.ts';
import { until } from './until.ts';

/** What the control plane knows of a sidecar; only what the story looks at. */
export interface SidecarFacts {
  readonly nodeId: string;
  readonly phase: string;
  readonly connected: boolean;
  readonly appReady: boolean;
  readonly staleSince: string | null;
  readonly config: { readonly appliedHash: string; readonly applied: { readonly index: number }; readonly desired: { readonly index: number } };
  readonly lastRefusal: { readonly version: { readonly index: number }; readonly class: string; readonly errors: readonly { readonly code: string; readonly kind: string; readonly policies: readonly string[] }[] } | null;
}

export async function readSidecars(world: World): Promise<readonly SidecarFacts[]> {
  return (await world.api<{ readonly items: readonly SidecarFacts[] }>('/v1/sidecars?limit=100')).items;
}

/** Waits until every sidecar is connected and in sync. */
export function untilInSync(world: World, timeoutMs: number): Promise<readonly SidecarFacts[]> {
  const count = world.fleet.members.length;
  return until({
    label: `all ${count} sidecars connected and in sync`,
    look: () => readSidecars(world),
    holds: (all) => all.filter((one) => one.connected && one.phase === 'in-sync').length === count,
    timeoutMs,
    processes: [world.fleet.controlPlane],
  });
}
