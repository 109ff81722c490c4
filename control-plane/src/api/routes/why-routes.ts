import { z } from 'zod';
import { failureCause } from '../../health/failure-cause.ts';
import { decidingHop, orderHops } from '../../health/hop-order.ts';
import type { DocumentKey, LogEntry } from '../../store/store.ts';
import type { StoredTrouble } from '../../telemetry/stored-chain.ts';
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
      method: 'GET', path: '/v1/why/{requestId}', operationId: 'why', tag: 'Explain', right: { role: 'viewer', scoped: 'checked' }, summary: 'What refused a request, or made it fail: the chain of hops, hosts tried and left out, reason, policy, field, revision and author',
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
        return { status: 200, body: { requestId, ...whyAnswer(ports, found.filter(({ subject }) => access.sees(subject))), silent: access.seesAll ? silent : silent.filter((nodeId) => access.sees(ports.hub.sidecar(nodeId)?.subject ?? '')) } };
      },
    }),
  ];
}

/** What sidecars reported, and what they say when asked. */
async function search(ports: ApiPorts, requestId: string): Promise<{ found: readonly StoredRefusal[]; silent: readonly string[] }> {
  const { answers, silent } = await ports.hub.askAll({ why: requestId }, askMs);
  const found = new Map<string, StoredRefusal>();
  for (const reported of ports.telemetry.refusals({ requestId, limit: reportedMax })) keep(found, reported);
  for (const reported of ports.telemetry.relayed(requestId)) keep(found, reported);
  for (const [nodeId, answer] of answers) {
    const subject = ports.hub.sidecar(nodeId)?.subject ?? '';
    for (const refusal of readWhyAnswer(answer, { nodeId, subject, requestId })) keep(found, refusal);
  }
  return { found: [...found.values()].sort((a, b) => (a.at < b.at ? -1 : 1)), silent };
}

/** The sidecar's own answer replaces what it reported before about the same refusal. */
function keep(found: Map<string, StoredRefusal>, refusal: StoredRefusal): void {
  const { nodeId, side, destination, reason, shadow, policy, at } = refusal;
  found.set([nodeId, side, destination, reason, shadow, policy, at].join('\n'), refusal);
}

/** `before` counts among the hops that may be seen. */
function whyAnswer(ports: ApiPorts, found: readonly StoredRefusal[]): { readonly refusals: readonly object[]; readonly decided: number | null } {
  const hops = orderHops(found);
  return { refusals: hops.map(({ refusal, before }) => ({ ...hopAnswer(ports, refusal), before })), decided: decidingHop(hops) };
}

function hopAnswer(ports: ApiPorts, refusal: StoredRefusal): object {
  const { nodeId, subject, at, side, method, authority, path, route, destination, status, reason, responseFlag, detail, traceId, shadow, kind, pointer, policy, configVersion, configHash, chain, held } = refusal;
  const edit = (name: string): Edit => editOf(ports, name, configVersion.index);
  const cause = failureCause({ ...refusal, held: held.map((one) => byHand(ports, one)) });
  return {
    nodeId, subject, at, side, method, authority, path, route, destination, status, reason, responseFlag, detail, traceId, shadow, kind, policy,
    pointer: documentPointer(kind, pointer),
    snapshot: configVersion.index,
    snapshotHash: configHash,
    ...edit(policy),
    tries: (chain?.tries ?? []).map((one) => ({ ...one, pointer: documentPointer(one.kind, one.pointer) })),
    triesLeftOut: chain?.triesLeftOut ?? 0,
    noFurther: chain?.noFurther ? { ...chain.noFurther, pointer: documentPointer(chain.noFurther.kind, chain.noFurther.pointer) } : null,
    hosts: chain?.hosts ?? null,
    fallback: chain?.fallback ?? '',
    held: held.map((one) => ({ ...byHand(ports, one), pointer: documentPointer(one.kind, one.pointer), ...edit(one.policy) })),
    cause: { ...cause, pointer: documentPointer(cause.kind, cause.pointer), ...edit(cause.policy) },
  };
}

/** Who took a host out by hand, and why: sidecars know only that somebody did. */
function byHand(ports: ApiPorts, trouble: StoredTrouble): StoredTrouble {
  if (trouble.kind !== 'host') return trouble;
  const order = ports.hostOrders.list(trouble.service).find(({ host, what }) => host === trouble.host && what === 'out');
  return order === undefined ? trouble : { ...trouble, detail: `by hand, ${order.author === '' ? 'by somebody' : `by ${order.author}`}${order.reason === '' ? '' : `: ${order.reason}`}` };
}

interface Edit {
  readonly revision: number | null;
  readonly revisionAt: string | null;
  readonly author: string | null;
  readonly message: string | null;
}

/** The newest revision that had changed one of the deciding policies when the sidecar's snapshot was made. */
function editOf({ store }: ApiPorts, policies: string, at: number): Edit {
  let newest: LogEntry | null = null;
  for (const name of policies === '' ? [] : policies.split(', ').slice(0, policiesMax)) {
    const entry = store.lastChange(`Policy/${name}` as DocumentKey, at);
    if (entry !== null && (newest === null || entry.version.index > newest.version.index)) newest = entry;
  }
  return { revision: newest?.version.index ?? null, revisionAt: newest?.at ?? null, author: newest?.author ?? null, message: newest?.message ?? null };
}

function documentPointer(kind: string, pointer: string): string {
  return pointer === '' || kind === '' || pointer === `/${kind}` || pointer.startsWith(`/${kind}/`) ? pointer : `/${kind}${pointer}`;
}

const policiesMax = 16;
