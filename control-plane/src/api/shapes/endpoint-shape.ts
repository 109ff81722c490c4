import { z } from 'zod';
import { shape } from './shape.ts';

export const discoverySourceShape = shape('DiscoverySource', z.object({
  service: z.string(),
  source: z.enum(['dns', 'consul', 'kubernetes', 'file', 'static']).describe('`static`: a host name among the endpoints of the document'),
  asked: z.string().describe('What it is asked for'),
  state: z.enum(['waiting', 'current', 'failing', 'missing']).describe('`waiting`: no answer yet; `failing`: its last answer holds; `missing`: this control plane is not set up for it'),
  answeredAt: z.string().nullable().describe('Its last answer; null: never'),
  failingSince: z.string().nullable(),
  error: z.string().describe('Why it fails; empty where it does not'),
  problems: z.array(z.string()).describe('What of its last answer could not be used'),
  instances: z.number(),
  suspect: z.number().describe('Instances that it does not name any more, and that are kept because too many vanished at once'),
}));

/** `GET /v1/discovery`. */
export const discoveryListShape = z.object({ items: z.array(discoverySourceShape) });

export const endpointShape = shape('Endpoint', z.object({
  id: z.string(),
  source: z.enum(['lease', 'static', 'dns', 'consul', 'kubernetes', 'file']).describe('`lease`: its sidecar announced it'),
  state: z.enum(['ready', 'suspect', 'draining', 'not-ready']).describe('`suspect`: its source lost most instances at once, so it is used last; `not-ready`: callers do not know it'),
  ports: z.array(z.object({ name: z.string(), host: z.string(), port: z.number() })),
  labels: z.record(z.string(), z.string()),
  locality: z.string(),
  weight: z.number(),
  backup: z.boolean(),
  mtls: z.boolean(),
  since: z.string().nullable().describe('When it appeared; null: with its document'),
  confirmedAt: z.string().nullable().describe('When its source named it last; null: its document is its source'),
}));

/** `GET /v1/services/{name}/endpoints`. */
export const endpointListShape = z.object({ service: z.string(), items: z.array(endpointShape), sources: z.array(discoverySourceShape) });
