import { z } from 'zod';
import type { StoredRefusal } from '../telemetry/telemetry-hub.ts';

const text = z.string().catch('');
const count = z.number().catch(0);
/** `1763792000.41`, or its parts. */
const version = z.union([
  z.object({ epoch: z.number(), index: z.number() }),
  z.string().regex(/^\d{1,15}\.\d{1,15}$/).transform((both) => ({ epoch: Number(both.split('.')[0]), index: Number(both.split('.')[1]) })),
]);

/** A refusal in a sidecar's answer; what a sidecar of another version leaves out is empty. */
const refusal = z.object({
  atMs: z.number().min(0).max(8.64e15).catch(0),
  side: text, method: text, authority: text, path: text, route: text, destination: text,
  status: count, reason: text, responseFlag: text, kind: text, pointer: text, policy: text, detail: text, clientAddress: text, traceId: text, configHash: text,
  shadow: z.boolean().catch(false),
  configVersion: version.catch({ epoch: 0, index: 0 }),
});

const answer = z.union([z.array(refusal), z.object({ refusals: z.array(refusal) }).transform(({ refusals }) => refusals)]).catch([]);

/** Reads what a sidecar says about a request. Anything else than an answer of the right form says nothing. */
export function readWhyAnswer(raw: unknown, from: { readonly nodeId: string; readonly subject: string; readonly requestId: string }): StoredRefusal[] {
  return answer.parse(raw).slice(0, 100).map(({ atMs, ...rest }) => ({ ...from, ...rest, at: new Date(atMs).toISOString() }));
}
