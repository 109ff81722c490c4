import { z } from 'zod';
import { refusalShape } from './revision-shape.ts';
import { shape } from './shape.ts';
import { subjectKeyShape, versionShape } from './version-shape.ts';

const laneShape = shape('Lane', z.object({
  desired: versionShape,
  desiredHash: z.string(),
  applied: versionShape,
  appliedHash: z.string(),
  inSync: z.boolean(),
  persisted: z.boolean(),
  lagMs: z.number(),
}));

export const sidecarShape = shape('Sidecar', z.object({
  nodeId: z.string(),
  incarnation: z.number(),
  subject: subjectKeyShape,
  phase: z.enum(['in-sync', 'pending', 'refused', 'offline', 'orphaned', 'draining']),
  connected: z.boolean(),
  authenticated: z.boolean(),
  trustBundle: z.string().describe('Hash of the roots of trust that it acknowledged last; empty where that is not known'),
  certificate: z.string().describe('Serial number of the certificate of its stream; empty without one'),
  connectedSince: z.string().nullable(),
  lastSeen: z.string(),
  staleSince: z.string().nullable(),
  address: z.string(),
  locality: z.string(),
  labels: z.record(z.string(), z.string()),
  build: z.object({ version: z.string(), format: z.number(), id: z.string(), kinds: z.record(z.string(), z.number()) }),
  config: laneShape,
  state: laneShape,
  lastRefusal: refusalShape.nullable(),
  clockOffsetMs: z.number(),
  rssBytes: z.number(),
  cpuShare: z.number(),
  stallMs: z.number(),
  appReady: z.boolean(),
  appProblem: z.string().optional().describe('Why the app is not ready; absent where nothing was told'),
  warming: z.array(z.string()),
  keyAgeSeconds: z.record(z.string(), z.number()).optional().describe('Since the keys of issuers were fetched, by issuer'),
  left: z.literal(true).optional().describe('It was stopped in order: it said so before its stream ended'),
  stragglers: z.array(z.string()).optional().describe('Callers that had not confirmed in time that this instance leaves'),
}));

export const sidecarListShape = shape('SidecarList', z.object({
  items: z.array(sidecarShape),
  next: z.string().nullable(),
  total: z.int(),
  counts: z.record(z.string(), z.int()).describe('Sidecars by phase, on every page'),
}));

export const snapshotShape = shape('SidecarSnapshot', z.object({
  nodeId: z.string(),
  subject: subjectKeyShape,
  revision: z.int(),
  hash: z.string(),
  entries: z.array(z.object({ type: z.string(), name: z.string(), hash: z.string(), resource: z.unknown() })),
}));

export const sidecarHistoryShape = shape('SidecarHistory', z.object({
  nodeId: z.string(),
  subject: subjectKeyShape,
  items: z.array(z.object({ revision: z.int(), at: z.string(), author: z.string(), message: z.string(), hash: z.string(), current: z.boolean() })),
}));
