import { z } from 'zod';
import { enforcementShape, refusalShape } from './revision-shape.ts';
import { shape } from './shape.ts';
import { subjectKeyShape } from './version-shape.ts';

export const policyStatusShape = shape('PolicyStatus', z.object({
  policy: z.string(),
  revision: z.int().describe('Revision that wrote it last'),
  etag: z.string(),
  refusedBy: z.array(z.object({ nodeId: z.string(), subject: subjectKeyShape, connected: z.boolean(), refusal: refusalShape })).describe('Sidecars that refuse a snapshot because of it; at most 1,000'),
  refusedByCount: z.int(),
  enforcement: enforcementShape.shape.counts.nullable().describe('Of the revision that wrote it last; null where that is not remembered any more'),
}));
