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

const decidingShape = {
  kind: z.string().describe('Policy kind; empty where none had a part'),
  pointer: z.string().describe('Field of the policy document'),
  policy: z.string().describe('Set the field; empty for a default'),
};

const editShape = {
  revision: z.int().nullable().describe('The newest revision, as of that snapshot, that changed the policy'),
  revisionAt: z.string().nullable(),
  author: z.string().nullable(),
  message: z.string().nullable(),
};

const failedTryShape = shape('FailedTry', z.object({
  attempt: z.number(), endpoint: z.string(), host: z.string().describe('Empty where the attempt got no host'),
  outcome: z.string().describe('`answered`, or a reason code'), status: z.number(), grpcStatus: z.number().describe('-1: none'), durationMs: z.number(),
  ...decidingShape, detail: z.string().describe('The limit that ended it'),
}));

const hostCensusShape = shape('HostCensus', z.object({
  known: z.number(), usable: z.number(), leftOutMore: z.number(),
  leftOut: z.array(z.object({
    host: z.string(), endpoint: z.string(), state: z.string().describe('`ejected`, `unhealthy`, `taken-out` by hand, `passed-over` because no connection could be made lately, `draining`'), until: z.string().nullable(),
  })),
}));

const troubleAtHopShape = shape('TroubleAtHop', z.object({
  ...decidingShape, event: z.string(), service: z.string(), host: z.string().describe('Empty where it is about all hosts'), detail: z.string().describe('The figures'), since: z.string(), until: z.string().nullable(), ...editShape,
}));

const causeShape = shape('FailureCause', z.object({
  what: z.string().describe('`3 of 3 hosts ejected`'), figures: z.string().describe('`consecutive-5xx, 5 of 5`'), since: z.string().nullable(), ...decidingShape, ...editShape,
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
    ...editShape,
    before: z.int().nullable().describe('Place in this list of the hop before; null for the outermost that is known'),
    tries: z.array(failedTryShape).describe('Attempts that failed, the first ones and the last'),
    triesLeftOut: z.number(),
    noFurther: z.object({ ...decidingShape, detail: z.string() }).nullable().describe('Why there was no attempt after the last; null where the hop makes none'),
    hosts: hostCensusShape.nullable().describe('Hosts of the destination at that time; null where no call was made'),
    fallback: z.string().describe('What answered in place of the destination'),
    held: z.array(troubleAtHopShape).describe('What the sidecar held against the destination at that time'),
    cause: causeShape.describe('What decided here'),
  })).describe('Every sidecar that refused it, gave up on it, or passed on a failure (with an empty `reason`), the outermost first'),
  decided: z.int().nullable().describe('Place in `refusals` of the hop that decided; null where there is none'),
  silent: z.array(z.string()).describe('Sidecars that did not answer'),
}));
