import { z } from 'zod';
import type { SidecarStatus } from '../push/push-hub.ts';

const text = z.string().max(8_192).default('');
const step = z.object({
  kind: text, shadow: z.boolean().default(false), verdict: z.enum(['passes', 'refuses', 'would refuse']).default('refuses'), reason: text, status: z.number().default(0), pointer: text, detail: text,
  policies: z.array(z.string()).max(64).default([]),
});
const entries = z.array(z.object({ pointer: text, shadow: z.boolean().default(false), policies: z.array(z.string()).max(64).default([]) })).max(1_000).default([]);
const names = z.array(z.string()).max(1_000).default([]);

const answerSchema = z.object({
  allowed: z.boolean().default(false),
  problem: z.string().max(1_024).optional(),
  listener: text, route: text, path: text,
  decision: step.nullable().default(null),
  steps: z.array(step).max(100).default([]),
  allowedBy: entries, limits: entries, notAsked: names,
  identity: z.object({ caller: text, consumer: text, groups: names, plan: text, subject: text, issuer: text, scopes: names, proved: names }).nullable().default(null),
});

export type CanAnswer = { readonly problem: string } | Omit<z.output<typeof answerSchema>, 'problem'> & { readonly sidecar: string; readonly subject: string; readonly revision: number; readonly current: boolean };

/** What a sidecar says of a request that somebody asks about; null where it is no such answer. */
export function readCanAnswer(answer: unknown, sidecar: SidecarStatus): CanAnswer | null {
  const read = answerSchema.safeParse(answer);
  if (!read.success) return null;
  const { problem, ...rest } = read.data;
  if (problem !== undefined) return { problem };
  return { ...rest, sidecar: sidecar.nodeId, subject: sidecar.subject, revision: sidecar.config.applied.index, current: sidecar.config.inSync };
}
