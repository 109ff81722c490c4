import { z } from 'zod';
import type { DocumentKey } from '../../store/store.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { ApiError } from '../problem.ts';
import { readWhyAnswer } from '../why-answer.ts';
import type { ReportedRefusal } from '../refusal-source.ts';
import { whyShape } from '../shapes/explain-shape.ts';

/** How long sidecars may take; those that do not answer are named. */
const askMs = 2_000;

export function whyRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/why/{requestId}', operationId: 'why', tag: 'Explain', summary: 'What refused a request: hop, reason, policy, field, revision and author',
      description: 'Asks every connected sidecar, and looks at what sidecars reported before.',
      params: z.object({ requestId: z.string().min(1).max(200) }),
      answers: { 200: { description: 'Who refused it', schema: whyShape } }, problems: ['not-found'],
      async handle({ params: { requestId } }) {
        const { answers, silent } = await ports.hub.askAll({ why: requestId }, askMs);
        const hops = new Map<string, Hop>();
        for (const reported of ports.refusals.refusals(requestId)) addHop(hops, { ...reported, source: 'telemetry' });
        for (const [nodeId, answer] of answers) {
          const subject = ports.hub.sidecar(nodeId)?.subject ?? '';
          for (const refusal of readWhyAnswer(answer, { nodeId, subject, requestId })) addHop(hops, { ...refusal, source: 'sidecar' });
        }
        if (hops.size === 0) {
          const hint = silent.length === 0 ? '' : `; ${silent.length} sidecars did not answer: ${silent.slice(0, 10).join(', ')}`;
          throw new ApiError('not-found', `no sidecar knows of a refusal of request ${requestId} (each keeps its last 1,000)${hint}`, { facts: { silent: [...silent] } });
        }
        const inOrder = [...hops.values()].sort((a, b) => (a.at < b.at ? -1 : 1));
        return { status: 200, body: { requestId, hops: inOrder.map((hop) => hopAnswer(ports, hop)), silent } };
      },
    }),
  ];
}

type Hop = ReportedRefusal & { readonly source: 'sidecar' | 'telemetry' };

/** The sidecar's own answer replaces what it reported before about the same refusal. */
function addHop(hops: Map<string, Hop>, hop: Hop): void {
  hops.set(`${hop.nodeId}\n${hop.side}\n${hop.reason}\n${hop.shadow}\n${hop.policy}`, hop);
}

function hopAnswer(ports: ApiPorts, { version, pointer, ...hop }: Hop): object {
  const entry = hop.policy === '' ? null : ports.store.lastChange(`Policy/${hop.policy}` as DocumentKey, version.index);
  const field = pointer === '' || hop.kind === '' || pointer.startsWith(`/${hop.kind}`) ? pointer : `/${hop.kind}${pointer}`;
  return {
    ...hop, field, version,
    revision: entry?.version.index ?? null, revisionAt: entry?.at ?? '', author: entry?.author ?? '', message: entry?.message ?? '',
  };
}
