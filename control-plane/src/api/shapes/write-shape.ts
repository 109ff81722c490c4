import { z } from 'zod';
import { documentDiffShape, enforcementShape, revisionShape } from './revision-shape.ts';
import { shape } from './shape.ts';
import { jsonShape, subjectKeyShape, versionShape } from './version-shape.ts';

const effectiveDiffShape = shape('EffectiveDiff', z.object({
  changes: z.array(z.object({
    kind: z.string(),
    pointer: z.string().describe('`/retry/retries`'),
    before: jsonShape.optional().describe('Absent: not enforced before'),
    after: jsonShape.optional().describe('Absent: not enforced any more'),
    winner: z.string().describe('Policy that decides; `default` where none does'),
    places: z.array(z.string()).describe('At most 20'),
    placeCount: z.int(),
  })).describe('At most 500'),
  more: z.int(),
  defaults: z.int().describe('Left out: defaults that come or go with a section; `all` lists them'),
}));

/** Answer to every write, dry or not. */
export const writeAnswerShape = shape('WriteAnswer', z.object({
  outcome: z.enum(['committed', 'unchanged', 'dry-run', 'repeated']).describe('`unchanged`: everything is as given already. `repeated`: an earlier request with this Idempotency-Key did it'),
  revision: revisionShape.nullable().describe('null where none was made'),
  head: versionShape,
  plan: z.string().describe('Hash of what this does: give it as `plan` to have exactly this, or nothing'),
  changes: z.array(documentDiffShape).describe('At most 1,000'),
  changeCount: z.int(),
  subjects: z.array(subjectKeyShape).describe('Services and gateways whose sidecars would enforce something else'),
  subjectCount: z.int(),
  sidecars: z.array(z.object({ nodeId: z.string(), subject: subjectKeyShape, connected: z.boolean() })).describe('Sidecars that it concerns; at most 1,000'),
  sidecarCount: z.int(),
  guards: z.array(z.object({ guard: z.string(), subject: subjectKeyShape, message: z.string(), forced: z.boolean() })).describe('Guards that trip; a write is refused unless each is forced'),
  effective: effectiveDiffShape.nullable().describe('Dry runs: what would be enforced otherwise, field by field'),
  enforcement: enforcementShape.nullable().describe('With `wait=applied`: who enforces it'),
}));

export const storedDocumentShape = shape('StoredDocument', z.object({
  document: z.looseObject({ kind: z.string(), name: z.string() }),
  revision: z.int().describe('Revision that wrote it last'),
  owner: z.string(),
  etag: z.string(),
}));

export const documentListShape = shape('DocumentList', z.object({
  items: z.array(storedDocumentShape),
  next: z.string().nullable().describe('Value of `after` for the next page; null at the end'),
  total: z.int().describe('All that match, on every page'),
  head: versionShape,
}));
