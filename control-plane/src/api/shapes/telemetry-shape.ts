import { z } from 'zod';
import { shape } from './shape.ts';
import { versionShape } from './version-shape.ts';

const trafficFields = {
  requests: z.number(),
  perSecond: z.number(),
  errors: z.number().describe('5xx, and requests without a status'),
  errorShare: z.number(),
  statusClasses: z.array(z.number()).describe('Index 0: no status; 1 to 5: classes'),
  codes: z.record(z.string(), z.number()),
  grpcCodes: z.record(z.string(), z.number()).describe('Calls of gRPC and gRPC-Web by the name of their code: OK, UNAVAILABLE …, other'),
  p50Ms: z.number(), p90Ms: z.number(), p99Ms: z.number(), maxMs: z.number(),
  bytesIn: z.number(), bytesOut: z.number(),
  retries: z.number(),
  active: z.number(),
};

const trafficShape = shape('Traffic', z.object(trafficFields));
const refusalCountShape = shape('RefusalCount', z.object({ reason: z.string(), kind: z.string(), policy: z.string(), count: z.number() }));

export const telemetrySummaryShape = shape('TelemetrySummary', z.object({
  windowMs: z.number().describe('What the numbers cover: less than asked for right after a start'),
  total: trafficShape,
  routes: z.array(z.object({ ...trafficFields, subject: z.string(), route: z.string() })),
  instances: z.array(z.object({ ...trafficFields, nodeId: z.string(), subject: z.string() })),
  edges: z.array(z.object({ ...trafficFields, caller: z.string(), service: z.string() })).describe('Who calls whom, as the callers saw it'),
  refusals: z.array(refusalCountShape),
  shadow: z.array(refusalCountShape).describe('What sections in shadow would have refused'),
  series: z.array(z.object({ at: z.string(), requests: z.number(), errors: z.number(), refused: z.number() })).describe('Points of 10 s, oldest first'),
}));

export const topShape = shape('Top', z.object({ items: z.array(z.object({ ...trafficFields, name: z.string(), refused: z.number() })) }));

export const refusalListShape = shape('RefusalList', z.object({
  items: z.array(z.object({
    nodeId: z.string(), subject: z.string(), requestId: z.string(), at: z.string(), side: z.string(), method: z.string(), authority: z.string(), path: z.string(),
    route: z.string(), destination: z.string(), status: z.number(), reason: z.string(), responseFlag: z.string(), kind: z.string(), pointer: z.string(), policy: z.string(),
    configVersion: versionShape, configHash: z.string(), detail: z.string(), clientAddress: z.string(), traceId: z.string(), shadow: z.boolean(),
  })),
}));

export const sidecarEventListShape = shape('SidecarEventList', z.object({
  items: z.array(z.object({ nodeId: z.string(), subject: z.string(), at: z.string(), type: z.string(), message: z.string(), attributes: z.record(z.string(), z.string()) })),
}));

export const reporterListShape = shape('ReporterList', z.object({
  items: z.array(z.object({ nodeId: z.string(), subject: z.string(), incarnation: z.number(), lastReport: z.string(), series: z.number(), droppedBatches: z.number() })),
  sizes: z.record(z.string(), z.number()).describe('What is kept, and what was dropped because a bound was reached'),
}));
