import { z } from 'zod';
import { shape } from './shape.ts';

const namedEntry = z.object({ pointer: z.string(), shadow: z.boolean(), policies: z.array(z.string()) });

const canStepShape = shape('CanStep', z.object({
  kind: z.string().describe('Policy kind; empty where the data path itself refuses'),
  shadow: z.boolean(),
  verdict: z.enum(['passes', 'refuses', 'would refuse']),
  reason: z.string().describe('Stable code, as in the answer, the log and the metrics'),
  status: z.number(),
  pointer: z.string().describe('Field or named entry of the section'),
  detail: z.string(),
  policies: z.array(z.string()),
}));

export const canShape = shape('Can', z.object({
  allowed: z.boolean(),
  sidecar: z.string().describe('Who was asked'),
  subject: z.string(),
  revision: z.int().describe('What it enforces'),
  current: z.boolean().describe('Whether that is what it should enforce'),
  listener: z.string(),
  route: z.string().describe('Empty where no Route has a name for it'),
  path: z.string(),
  decision: canStepShape.nullable().describe('What refuses it; null where it is allowed'),
  steps: z.array(canStepShape),
  allowedBy: z.array(namedEntry).describe('Rules of authorization that let it pass'),
  limits: z.array(namedEntry).describe('Limits that would count it; whether one is used up is not looked at'),
  notAsked: z.array(z.string()).describe('Kinds that decide too, and could not be asked without effect'),
  identity: z.object({
    caller: z.string(), consumer: z.string(), groups: z.array(z.string()), plan: z.string(), subject: z.string(), issuer: z.string(), scopes: z.array(z.string()), proved: z.array(z.string()),
  }).nullable(),
  notes: z.array(z.string()),
}));
