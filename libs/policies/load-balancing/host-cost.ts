import type { Host } from '@remora/policy-kit/hosts';

/** What another request to the host would meet: those under way, per weight. */
export function requestCost({ active }: Pick<Host, 'active'>, weight: number): number {
  return (active + 1) / weight;
}

/**
 * The same times the latency that the host has shown lately (Finagle's peak EWMA). Latency fades while nobody asks, so that a host that was slow is tried again
 * after a while: one ten times slower than the others after 5 s. (Finagle and Linkerd take 10 s for the same to fade to 1/e: there an instance whose first answer was slow, as first
 * answers are, is left alone for half a minute where there is little to do.) A host that has not answered yet gets one request, and no more before
 * its answer. One that owes answers is as slow at least as it has been silent: who hangs is left alone long before any request to it runs out of time, and what was
 * known of it does not fade meanwhile.
 */
export function latencyCost({ active, latencyMs, latencyAt, owesSince }: Pick<Host, 'active' | 'latencyMs' | 'latencyAt' | 'owesSince'>, weight: number, nowMs: number): number {
  if (latencyAt === 0) return active === 0 ? 0 : (unmeasuredMs * (active + 1)) / weight;
  const faded = latencyMs * Math.exp((latencyAt - nowMs) / decayMs);
  const expected = owesSince > 0 && nowMs - owesSince > faded ? nowMs - owesSince : faded;
  return (expected * (active + 1)) / weight;
}

/** As the measurement decays (`sidecar/src/upstream/cluster-host.ts`). */
const decayMs = 2_000;
/** Longer than any answer takes. */
const unmeasuredMs = 1e9;
