import { z } from 'zod';
import { listMax, triesMax, type StoredChain, type StoredTrouble } from '../telemetry/stored-chain.ts';
import type { StoredRefusal } from '../telemetry/telemetry-hub.ts';

const text = z.string().catch('');
const count = z.number().catch(0);
const instant = z.number().min(0).max(8.64e15).catch(0);
/** `1763792000.41`, or its parts. */
const version = z.union([
  z.object({ epoch: z.number(), index: z.number() }),
  z.string().regex(/^\d{1,15}\.\d{1,15}$/).transform((both) => ({ epoch: Number(both.split('.')[0]), index: Number(both.split('.')[1]) })),
]);
const field = { kind: text, pointer: text, policy: text, detail: text };

const chain = z.object({
  startedAtMs: instant,
  tries: z.array(z.object({ attempt: count, endpoint: text, host: text, outcome: text, status: count, grpcStatus: count, durationMs: count, ...field })).catch([]),
  triesLeftOut: count,
  noFurther: z.object(field).nullable().catch(null),
  hosts: z.object({
    known: count, usable: count, leftOutMore: count,
    leftOut: z.array(z.object({ host: text, endpoint: text, state: text, untilMs: instant })).catch([]),
  }).nullable().catch(null),
  fallback: text,
}).transform(({ startedAtMs, tries, hosts, ...rest }): StoredChain => ({
  ...rest, startedAt: timeText(startedAtMs), tries: tries.slice(0, triesMax),
  hosts: hosts && { ...hosts, leftOut: hosts.leftOut.slice(0, listMax).map(({ untilMs, ...host }) => ({ ...host, until: untilText(untilMs) })) },
}));

const held = z.object({ ...field, event: text, service: text, host: text, sinceMs: instant, untilMs: instant })
  .transform(({ sinceMs, untilMs, ...rest }): StoredTrouble => ({ ...rest, since: timeText(sinceMs), until: untilText(untilMs) }));

/** A refusal in a sidecar's answer; what a sidecar of another version leaves out is empty. */
const refusal = z.object({
  atMs: instant,
  side: text, method: text, authority: text, path: text, route: text, destination: text,
  status: count, reason: text, responseFlag: text, kind: text, pointer: text, policy: text, detail: text, clientAddress: text, traceId: text, configHash: text,
  shadow: z.boolean().catch(false),
  configVersion: version.catch({ epoch: 0, index: 0 }),
  chain: chain.nullable().catch(null),
  held: z.array(held).transform((list) => list.slice(0, listMax)).catch([]),
});

const answer = z.union([z.array(refusal), z.object({ refusals: z.array(refusal) }).transform(({ refusals }) => refusals)]).catch([]);

/** Reads what a sidecar says about a request. Anything else than an answer of the right form says nothing. */
export function readWhyAnswer(raw: unknown, from: { readonly nodeId: string; readonly subject: string; readonly requestId: string }): StoredRefusal[] {
  return answer.parse(raw).slice(0, 100).map(({ atMs, ...rest }) => ({ ...from, ...rest, at: timeText(atMs) }));
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}

function untilText(untilMs: number): string | null {
  return untilMs === 0 ? null : timeText(untilMs);
}
