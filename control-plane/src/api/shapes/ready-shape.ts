import { z } from 'zod';
import { shape } from './shape.ts';
import { versionShape } from './version-shape.ts';
import { violationShape } from './violation-shape.ts';

export const readyShape = shape('Ready', z.object({
  status: z.literal('ready'), version: z.string(), head: versionShape, sidecars: z.int(),
  contradictions: z.array(violationShape).describe('What stored documents contradict each other in: taken by an older build, enforced as before, refused once they are written again. At most 1,000; empty for who does not see all documents'),
}));
