import { z } from 'zod';
import { etagOf } from '../../write/intended-changes.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { findDocument } from '../find-document.ts';
import { visibleEnforcement } from '../visible-enforcement.ts';
import { nameParameter } from '../parameters.ts';
import { policyStatusShape } from '../shapes/policy-status-shape.ts';

/** Sidecars named in one answer; more are counted only. */
const sidecarsMax = 1_000;

/** What became of a policy: a refusal is seen on the policy that caused it, not only on the sidecar. */
export function policyStatusRoute(ports: ApiPorts): ApiRoute {
  return apiRoute({
    method: 'GET', path: '/v1/policies/{name}/status', operationId: 'getPolicyStatus', tag: 'Documents', right: { role: 'viewer', scoped: 'checked' }, summary: 'Who refuses a Policy, and who enforces the revision that wrote it',
    description: 'A refusal is listed until the sidecar enforces what it should, also while it is not connected.',
    params: z.object({ name: nameParameter }),
    answers: { 200: { description: 'Its status', schema: policyStatusShape } }, problems: ['not-found'],
    handle({ params: { name }, access }) {
      const stored = findDocument(ports, access, 'Policy', name);
      const refusing = ports.hub.sidecars().filter(({ subject, lastRefusal }) => access.sees(subject) && lastRefusal?.errors.some(({ policies }) => policies.includes(name))).sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
      const enforcement = ports.hub.enforcement(stored.writtenAt);
      const body = {
        policy: name,
        revision: stored.writtenAt,
        etag: etagOf(stored),
        refusedBy: refusing.slice(0, sidecarsMax).map(({ nodeId, subject, connected, lastRefusal }) => ({ nodeId, subject, connected, refusal: lastRefusal })),
        refusedByCount: refusing.length,
        enforcement: enforcement && visibleEnforcement(access, enforcement).counts,
      };
      return { status: 200, body };
    },
  });
}
