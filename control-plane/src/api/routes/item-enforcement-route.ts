import { z } from 'zod';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { durationParameter } from '../parameters.ts';
import { itemEnforcementShape, itemNames } from '../shapes/item-enforcement-shape.ts';
import { visibleEnforcement } from '../visible-enforcement.ts';

/** Sidecars named in one answer; more are counted only. */
const sidecarsMax = 1_000;

/** As the state lane calls them. */
const kinds = { consumers: 'consumers', secrets: 'secret', revocations: 'revocations', roots: 'trustBundle', hosts: 'hostOrders', breakers: 'breakerOrders' } as const satisfies Readonly<Record<(typeof itemNames)[number], string>>;

/** Who enforces what is in no revision. */
export function itemEnforcementRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/enforcement/{of}', operationId: 'getItemEnforcement', tag: 'Sidecars', right: { role: 'viewer', scoped: 'checked' },
    summary: 'Who enforces the Consumers, Secrets, revocations or orders of now',
    description: 'For what travels beside snapshots and is in no revision. Ask after the change, with a `timeout`: the answer comes when every connected sidecar that needs it confirmed what was wanted at the question, at the first refusal, or at the timeout. Sidecars out of contact are `offline`: those that still run enforce what they had. With a scope: its sidecars alone.',
    params: z.object({ of: z.enum(itemNames, { error: `expected one of ${itemNames.join(', ')}` }) }),
    query: z.object({ timeout: durationParameter({ ms: 600_000, text: '10m' }).default(0).describe('How long to wait, e.g. `10s`; 0: not at all') }),
    answers: { 200: { description: 'Who does, and who does not', schema: itemEnforcementShape } },
    async handle({ params: { of }, query: { timeout }, access }) {
      const { elapsedMs, counts, sidecars } = visibleEnforcement(access, await ports.hub.waitItems(kinds[of], timeout));
      return { status: 200, body: { of, done: counts.pending === 0, elapsedMs, counts, sidecars: sidecars.slice(0, sidecarsMax) } };
    },
  });
}
