import { z } from 'zod';
import { refusalShape } from './revision-shape.ts';
import { shape } from './shape.ts';
import { subjectKeyShape } from './version-shape.ts';

/** What travels beside snapshots, in no revision: credentials and Consumers, values of Secrets, revocations, roots of trust, hosts and breakers that people ordered. */
export const itemNames = ['consumers', 'secrets', 'revocations', 'roots', 'hosts', 'breakers'] as const;

export const itemEnforcementShape = shape('ItemEnforcement', z.object({
  of: z.enum(itemNames),
  done: z.boolean().describe('No sidecar is pending'),
  elapsedMs: z.number().describe('From the question to the last sidecar that confirmed; 0 where all had'),
  counts: z.object({ total: z.int(), applied: z.int(), pending: z.int(), refused: z.int(), offline: z.int() }),
  sidecars: z.array(z.object({
    nodeId: z.string(),
    subject: subjectKeyShape,
    outcome: z.enum(['applied', 'pending', 'refused', 'offline']),
    elapsedMs: z.number(),
    refusal: refusalShape.nullable(),
  })).describe('At most 1,000: refused, pending, offline, applied; by node id among themselves'),
}));
