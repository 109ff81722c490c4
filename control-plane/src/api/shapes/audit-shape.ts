import { z } from 'zod';
import { shape } from './shape.ts';
import { jsonShape } from './version-shape.ts';

const placeShape = z.object({ seq: z.int(), hash: z.string() });

export const auditEntryShape = shape('AuditEntry', z.looseObject({
  seq: z.int(),
  at: z.string().optional().describe('Absent with `damaged`'),
  action: z.string().optional(),
  actor: jsonShape.optional().describe('Who: kind, id and name'),
  from: z.string().optional().describe('Address of the client'),
  outcome: z.enum(['done', 'refused', 'failed']).optional(),
  what: jsonShape.optional(),
  prev: z.string().optional(),
  hash: z.string().optional().describe('SHA-256 of the canonical JSON of all the rest'),
  damaged: z.string().optional().describe('What the store has in its place, which is no entry'),
}));

export const auditListShape = shape('AuditList', z.object({
  items: z.array(auditEntryShape),
  next: z.int().nullable().describe('Value of `before` for the next page; null at the end'),
  total: z.int().describe('Entries that are kept'),
  head: placeShape.describe('The newest entry. Note it elsewhere: who has it can tell later whether the log was rewritten'),
  anchor: placeShape.extend({ sealedBy: z.int() }).describe('The last entry that retention removed, and the entry that says so'),
}));
