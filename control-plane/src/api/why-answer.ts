import { z } from 'zod';
import type { StoredRefusal } from '../telemetry/telemetry-hub.ts';

const text = z.string().catch('');
const count = z.number().catch(0);
const version = z.object({ epoch: z.number(), index: z.number() });

/** A refusal in a sidecar's answer; what a sidecar of another version leaves out is empty. */
const refusal = z.object({
  at: z.union([z.string(), z.number().transform((ms) => new Date(ms).toISOString())]).catch(''),
  atMs: z.number().optional().catch(undefined),
  side: text, method: text, authority: text, path: text, route: text, destination: text,
  status: count, reason: text, responseFlag: text, kind: text, pointer: text, policy: text, detail: text, clientAddress: text, configHash: text,
  shadow: z.boolean().catch(false),
  configVersion: version.optional().catch(undefined),
  version: version.optional().catch(undefined),
});

const answer = z.union([z.array(refusal), z.object({ refusals: z.array(refusal) }).transform(({ refusals }) => refusals)]).catch([]);

/** Reads what a sidecar says about a request. Anything else than an answer of the right form says nothing. */
export function readWhyAnswer(raw: unknown, from: { readonly nodeId: string; readonly subject: string; readonly requestId: string }): StoredRefusal[] {
  return answer.parse(raw).slice(0, 100).map(({ atMs, at, version: snapshot, configVersion, ...rest }) => ({
    ...from,
    ...rest,
    configVersion: configVersion ?? snapshot ?? { epoch: 0, index: 0 },
    at: at === '' && atMs !== undefined ? new Date(atMs).toISOString() : at,
  }));
}
