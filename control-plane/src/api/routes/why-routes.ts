import { z } from 'zod';
import type { DocumentKey } from '../../store/store.ts';
import type { StoredRefusal } from '../../telemetry/telemetry-hub.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { whyShape } from '../shapes/explain-shape.ts';
import { readWhyAnswer } from '../why-answer.ts';

/** How long sidecars may take; those that do not answer are named. */
const askMs = 2_000;
const reportedMax = 100;
/** Where nobody knows of it: so often again, so much later. */
const agains = 2;
const againMs = 250;

export function whyRoutes(ports: ApiPorts): ApiRoute[] {
  return [
    apiRoute({
      method: 'GET', path: '/v1/why/{requestId}', operationId: 'why', tag: 'Explain', right: { role: 'viewer', scoped: 'checked' }, summary: 'What refused a request: hop, reason, policy, field, revision and author',
      description: 'Asks every connected sidecar, and looks at what sidecars reported before. An empty list: none of them remembers a refusal of this request; each keeps its last 1,000.',
      params: z.object({ requestId: z.string().min(1).max(200) }),
      answers: { 200: { description: 'Who refused it', schema: whyShape } },
      async handle({ params: { requestId }, access }) {
        let { found, silent } = await search(ports, requestId);
        // A sidecar's data threads hand over refusals in batches: one that was made just now may be known a moment later.
        for (let again = 0; again < agains && found.length === 0; again++) {
          await new Promise<void>((resolve) => void ports.timers.after(againMs, resolve));
          ({ found, silent } = await search(ports, requestId));
        }
        return { status: 200, body: { requestId, refusals: found.filter(({ subject }) => access.sees(subject)).map((refusal) => refusalAnswer(ports, refusal)), silent: access.seesAll ? silent : silent.filter((nodeId) => access.sees(ports.hub.sidecar(nodeId)?.subject ?? '')) } };
      },
    }),
  ];
}

/** What sidecars reported, and what they say when asked; in the order of time. */
async function search(ports: ApiPorts, requestId: string): Promise<{ found: readonly StoredRefusal[]; silent: readonly string[] }> {
  const { answers, silent } = await ports.hub.askAll({ why: requestId }, askMs);
  const found = new Map<string, StoredRefusal>();
  for (const reported of ports.telemetry.refusals({ requestId, limit: reportedMax })) keep(found, reported);
  for (const [nodeId, answer] of answers) {
    const subject = ports.hub.sidecar(nodeId)?.subject ?? '';
    for (const refusal of readWhyAnswer(answer, { nodeId, subject, requestId })) keep(found, refusal);
  }
  return { found: [...found.values()].sort((a, b) => (a.at < b.at ? -1 : 1)), silent };
}

/** The sidecar's own answer replaces what it reported before about the same refusal. */
function keep(found: Map<string, StoredRefusal>, refusal: StoredRefusal): void {
  found.set([refusal.nodeId, refusal.side, refusal.reason, refusal.shadow, refusal.policy].join('\n'), refusal);
}

/** The revision is the newest that had changed the deciding policy when the sidecar's snapshot was made. */
function refusalAnswer(ports: ApiPorts, refusal: StoredRefusal): object {
  const { nodeId, subject, at, side, method, authority, path, route, destination, status, reason, responseFlag, detail, traceId, shadow, kind, pointer, policy, configVersion, configHash } = refusal;
  const entry = policy === '' ? null : ports.store.lastChange(`Policy/${policy}` as DocumentKey, configVersion.index);
  return {
    nodeId, subject, at, side, method, authority, path, route, destination, status, reason, responseFlag, detail, traceId, shadow, kind, policy,
    pointer: pointer === '' || kind === '' || pointer.startsWith(`/${kind}`) ? pointer : `/${kind}${pointer}`,
    snapshot: configVersion.index,
    snapshotHash: configHash,
    revision: entry?.version.index ?? null,
    revisionAt: entry?.at ?? null,
    author: entry?.author ?? null,
    message: entry?.message ?? null,
  };
}
