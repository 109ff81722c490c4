import { z } from 'zod';
import { shape } from './shape.ts';
import { jsonShape, versionShape } from './version-shape.ts';

const policyRefShape = shape('PolicyRef', z.object({ policy: z.string(), target: z.string(), strength: z.number() }));

export const fieldExplanationShape = shape('FieldExplanation', z.object({
  pointer: z.string().describe('From the policy document: `/retry/retries`'),
  value: jsonShape,
  winner: z.union([policyRefShape, z.literal('default')]),
  losers: z.array(z.object({ policy: policyRefShape, value: jsonShape })).describe('Strongest first'),
  why: z.string(),
  bounds: z.array(z.object({ policy: z.string(), text: z.string() })),
}));

const subjectShape = z.object({ kind: z.enum(['service', 'gateway']), name: z.string() });

export const explanationShape = shape('Explanation', z.object({
  place: z.object({
    owner: subjectShape,
    route: z.string().optional(),
    caller: subjectShape.extend({ labels: z.record(z.string(), z.string()).optional(), route: z.string().optional() }).optional(),
  }),
  revision: z.int(),
  sections: z.array(z.object({ kind: z.string(), value: jsonShape, shadow: z.boolean() })),
  fields: z.array(fieldExplanationShape),
}));

export const whyShape = shape('Why', z.object({
  requestId: z.string(),
  hops: z.array(z.object({
    nodeId: z.string(),
    subject: z.string(),
    source: z.enum(['sidecar', 'telemetry']).describe('Asked now, or as reported before'),
    at: z.string(),
    side: z.string(),
    method: z.string(),
    authority: z.string(),
    path: z.string(),
    route: z.string(),
    destination: z.string(),
    status: z.number(),
    reason: z.string(),
    responseFlag: z.string(),
    detail: z.string(),
    shadow: z.boolean(),
    kind: z.string().describe('Policy kind that refused; empty where none did'),
    policy: z.string(),
    field: z.string().describe('Pointer into the policy document'),
    version: versionShape.describe('Snapshot in force at the time'),
    revision: z.int().nullable().describe('The newest revision, as of that snapshot, that changed the policy'),
    revisionAt: z.string(),
    author: z.string(),
    message: z.string(),
  })).describe('Every sidecar that refused it or gave up on it, in the order of time'),
  silent: z.array(z.string()).describe('Sidecars that did not answer'),
}));
