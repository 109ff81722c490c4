import { z } from 'zod';
import { shape } from './shape.ts';
import { jsonShape, subjectKeyShape, versionShape } from './version-shape.ts';

export const fieldChangeShape = shape('FieldChange', z.object({
  pointer: z.string(),
  before: jsonShape.optional().describe('Absent: the field was not set'),
  after: jsonShape.optional().describe('Absent: the field is not set any more'),
}));

export const documentDiffShape = shape('DocumentDiff', z.object({
  document: z.string().describe('`Policy/baseline`'),
  action: z.enum(['created', 'updated', 'deleted']),
  fields: z.array(fieldChangeShape),
  owner: z.object({ before: z.string(), after: z.string() }).optional(),
}));

export const grantShape = shape('Grant', z.object({ guard: z.string(), subjects: z.array(z.string()) }));

export const revisionShape = shape('Revision', z.object({
  revision: z.int().describe('Its place in the log; numbers have gaps'),
  version: versionShape,
  at: z.iso.datetime(),
  author: z.string(),
  message: z.string(),
  kind: z.enum(['documents', 'revert', 'restore-to', 'grant', 'format', 'restored']),
  of: z.int().optional().describe('The revision that a revert undid, or a restore went back to'),
  documents: z.array(z.object({ document: z.string(), action: z.enum(['created', 'updated', 'deleted']) })).describe('At most 1,000, in a list 20; `documentCount` is the whole number'),
  documentCount: z.int(),
  grants: z.array(grantShape),
}));

export const revisionListShape = shape('RevisionList', z.object({
  items: z.array(revisionShape),
  next: z.string().nullable().describe('Value of `before` for the next page; null at the end'),
  head: versionShape,
  retainedFrom: z.int().describe('Oldest revision that is kept'),
}));

export const revisionDiffShape = shape('RevisionDiff', z.object({
  from: z.int(),
  to: z.int(),
  changes: z.array(documentDiffShape).describe('At most 1,000'),
  changeCount: z.int(),
}));

export const refusalShape = shape('SidecarRefusal', z.object({
  version: versionShape,
  hash: z.string(),
  at: z.string(),
  lane: z.enum(['config', 'state']),
  class: z.enum(['invalid', 'guard', 'resync', 'transient']),
  errors: z.array(z.object({
    resource: z.string(), kind: z.string(), pointer: z.string(), code: z.string(), message: z.string(), policies: z.array(z.string()),
  })),
}));

export const enforcementShape = shape('Enforcement', z.object({
  version: versionShape,
  done: z.boolean().describe('No sidecar is pending'),
  elapsedMs: z.number().describe('From commit to the last sidecar that applied'),
  counts: z.object({ total: z.int(), applied: z.int(), pending: z.int(), refused: z.int(), offline: z.int(), superseded: z.int() }),
  complete: z.boolean().describe('Every sidecar that is counted can be listed; of older revisions those that applied them are counted only'),
  sidecars: z.array(z.object({
    nodeId: z.string(),
    subject: subjectKeyShape,
    outcome: z.enum(['applied', 'pending', 'refused', 'offline', 'superseded']),
    elapsedMs: z.number(),
    refusal: refusalShape.nullable(),
  })).describe('One page: refused, pending, offline, superseded, applied; by node id among themselves'),
  next: z.string().nullable().describe('Value of `after` for the next page; null at the end'),
}));
