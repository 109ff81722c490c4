import { z } from 'zod';

const text = z.string().max(1_024).catch('');
const count = z.number().catch(0);

const answer = z.object({
  requests: z.array(z.object({
    atMs: z.number().min(0).max(8.64e15).catch(0), side: text, method: text, authority: text, path: text, route: text, destination: text, upstream: text, status: count, grpcStatus: count, reason: text,
    attempts: count, durationMs: count, requestId: text, caller: text,
  }).transform(({ atMs, ...rest }) => ({ at: new Date(atMs).toISOString(), ...rest }))),
  skipped: count,
}).catch({ requests: [], skipped: 0 });

/** Requests that a sidecar says have ended. Anything else than an answer of the right form says nothing. */
export function readTapAnswer(raw: unknown): z.output<typeof answer> {
  return answer.parse(raw);
}
