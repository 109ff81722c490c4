import { z } from 'zod';
import { shape } from './shape.ts';

const figures = {
  requests: z.number().nullable().describe('Since the step began, as callers saw them; null: nobody reported'),
  errors: z.number().nullable().describe('5xx, and requests that ended without a status'),
  errorShare: z.number().nullable().describe('0 to 1'),
  p99Ms: z.number().nullable().describe('Within 4.5 %'),
};
const labels = z.record(z.string(), z.string());
const sideShape = z.object({ labels, ...figures });

const gateShape = z.object({
  gate: z.enum(['errorRate', 'p99']), outcome: z.enum(['held', 'failed', 'missing']),
  candidate: z.number().describe('Share of failed requests from 0 to 1, or milliseconds'), stable: z.number(), limit: z.number().describe('What the document allows'), sentence: z.string(),
});

const decisionShape = z.object({
  at: z.string(), step: z.int(), weight: z.int(), action: z.enum(['advance', 'hold', 'abort']),
  because: z.string().describe('`passed`, `time`, `too-few`, `missing-data`, `gate-failed`, `approval`, `approved`, `promoted`, `paused`, `aborted` …'),
  sentence: z.string().describe('The figures behind it'), by: z.string().describe('Who ordered it; empty: nobody had to'),
  gates: z.array(gateShape), candidate: z.object(figures).nullable(), stable: z.object(figures).nullable(),
});

/** `GET /v1/canaries/{name}/status`. */
export const canaryStatusShape = shape('CanaryStatus', z.object({
  canary: z.string(), service: z.string(),
  routes: z.array(z.string()), ownRoute: z.boolean().describe('The canary made its Route'),
  phase: z.enum(['waiting', 'running', 'completing', 'reverting', 'completed', 'aborted', 'failed']),
  paused: z.boolean(),
  step: z.int().nullable().describe('From 1'), steps: z.int().describe('With the last one, which gives everything to the candidate'),
  weight: z.int().nullable().describe('Percent of the candidate; null: the Routes are as before'),
  since: z.string().nullable().describe('When the step came into force'), startedAt: z.string().nullable(), endedAt: z.string().nullable(),
  now: z.object({ action: z.enum(['advance', 'hold', 'abort']), because: z.string(), sentence: z.string() }).describe('What the gates say now, or how it ended'),
  candidate: sideShape, stable: sideShape,
  reportedAt: z.string().nullable().describe('The older of the last reports of both sides'),
  gates: z.array(gateShape).describe('Each gate that could be looked at'),
  verdict: z.object({ end: z.enum(['completed', 'aborted', 'failed']), sentence: z.string(), by: z.string() }).nullable(),
  blocked: z.string().describe('Why its last write was refused, which is tried again; empty: it was not'),
  decisions: z.array(decisionShape).describe('The newest first, at most 50'),
}));

/** `GET /v1/canary-status`. */
export const canaryListShape = shape('CanaryStatusList', z.object({ items: z.array(canaryStatusShape.omit({ decisions: true })) }));
