import { z } from 'zod';
import { shape } from './shape.ts';
import { jsonShape } from './version-shape.ts';

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

const explained = {
  place: z.object({
    owner: subjectShape,
    route: z.string().optional(),
    caller: subjectShape.extend({ labels: z.record(z.string(), z.string()).optional(), route: z.string().optional() }).optional(),
  }),
  sections: z.array(z.object({ kind: z.string(), value: jsonShape, shadow: z.boolean() })),
  fields: z.array(fieldExplanationShape),
  defaults: z.int().describe('Left out: fields that no policy sets and nothing bounds; `all` lists them'),
};

export const explanationShape = shape('Explanation', z.object({ revision: z.int(), ...explained }));

export const requestExplanationShape = shape('RequestExplanation', z.object({
  revision: z.int(),
  ...explained,
  path: z.string().describe('Canonical path; empty where its spelling is refused'),
  port: z.string().describe('Port of the service, or listener of the gateway'),
  route: z.string().describe('Empty where none matches'),
  variables: z.record(z.string(), z.string()),
  outcome: z.enum(['app', 'forward', 'redirect', 'respond', 'refused']),
  reason: z.string().describe('Why it is refused, as a sidecar would say it'),
  targets: z.array(z.object({ service: z.string(), route: z.string(), weight: z.number(), labels: z.array(z.string()), ...explained })).describe('Services it may go to, and how they are called'),
}));

export const whyShape = shape('Why', z.object({
  requestId: z.string(),
  refusals: z.array(z.object({
    nodeId: z.string(),
    subject: z.string(),
    at: z.string(),
    side: z.string().describe('inbound, outbound or gateway'),
    method: z.string(),
    authority: z.string(),
    path: z.string(),
    route: z.string(),
    destination: z.string(),
    status: z.number(),
    reason: z.string().describe('Stable code, as in the answer, the log and the metrics'),
    responseFlag: z.string(),
    detail: z.string(),
    traceId: z.string().describe('Trace of the request (W3C); empty where it had none'),
    shadow: z.boolean().describe('It would have been refused'),
    kind: z.string().describe('Policy kind that refused; empty where none did'),
    policy: z.string(),
    pointer: z.string().describe('Field of the policy document that decided'),
    snapshot: z.int().describe('Place in the log of the snapshot in force at the time'),
    snapshotHash: z.string(),
    revision: z.int().nullable().describe('The newest revision, as of that snapshot, that changed the policy'),
    revisionAt: z.string().nullable(),
    author: z.string().nullable(),
    message: z.string().nullable(),
  })).describe('Every sidecar that refused it or gave up on it, in the order of time'),
  silent: z.array(z.string()).describe('Sidecars that did not answer'),
}));
