import { z } from 'zod';
import { shape } from './shape.ts';

export const versionShape = shape('Version', z.object({
  epoch: z.int().describe('Grows with each restore of the store'),
  index: z.int().describe('Place in the log: the number of a revision'),
}));

export const subjectKeyShape = shape('SubjectKey', z.string().describe('What a sidecar runs for: `service/orders`, `gateway/edge`'));

/** Any JSON value: documents and their fields have schemas of their own under /v1/schemas. */
export const jsonShape = shape('Json', z.unknown().describe('Any JSON value'));
