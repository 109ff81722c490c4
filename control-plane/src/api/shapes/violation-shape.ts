import { z } from 'zod';
import { shape } from './shape.ts';

export const violationShape = shape('Violation', z.object({
  document: z.string().optional().describe('`Policy/orders-api`, where the input has several documents'),
  source: z.string().optional().describe('File and line, where the input came from files'),
  pointer: z.string().describe('JSON pointer (RFC 6901) into the document'),
  code: z.string().describe('Stable code in kebab case, e.g. `unknown-field`'),
  message: z.string(),
  expected: z.string().optional().describe('What would have been accepted'),
  suggestion: z.string().optional().describe('The nearest accepted spelling'),
}));

/** RFC 9457. `code` is what programs should look at. */
export const problemShape = shape('Problem', z.looseObject({
  type: z.string().describe('`urn:remora:problem:` and the code'),
  title: z.string(),
  status: z.int(),
  code: z.string().describe('Stable code in kebab case'),
  detail: z.string().optional(),
  violations: z.array(violationShape).optional().describe('Everything that is wrong, not only the first thing'),
}));
