import { z } from 'zod';

const troubleShape = z.object({
  kind: z.string().describe('Policy kind that decided'),
  event: z.string().describe('`ejected`, `unhealthy`, `opened`, `half-open` …'),
  host: z.string().describe('Empty where it is about all hosts'),
  held: z.number().describe('Sidecars that hold it'),
  of: z.number().describe('Sidecars that call the service'),
  pointer: z.string(),
  policies: z.array(z.string()).describe('That set the field; empty text for a default'),
  detail: z.string().describe('The figures behind it, of the one that held it last'),
  since: z.string(),
  until: z.string().nullable().describe('When the last of them ends by itself'),
  by: z.array(z.object({ nodeId: z.string(), caller: z.string(), since: z.string(), until: z.string().nullable(), detail: z.string() })).describe('At most 20 of them'),
});

const hostOrderShape = z.object({
  service: z.string(), host: z.string(), what: z.enum(['out', 'back']).describe('`out`: no caller uses it; `back`: what detectors decided before is over'),
  author: z.string(), reason: z.string(), at: z.string(), until: z.string(),
});

export const hostOrderListShape = z.object({ items: z.array(hostOrderShape) });

/** What somebody said about the breakers of a service's callers. */
export const breakerOrderShape = z.object({
  service: z.string(), what: z.enum(['open', 'closed']).describe('`open`: no caller sends anything to it; `closed`: its callers\' breakers are closed, and stay so'),
  author: z.string(), reason: z.string(), at: z.string(), until: z.string(),
});

/** `GET /v1/services/{name}/health`. */
export const serviceHealthShape = z.object({
  service: z.string(),
  callers: z.array(z.object({ caller: z.string(), instances: z.number(), troubled: z.number() })),
  troubles: z.array(troubleShape),
  orders: z.array(hostOrderShape).describe('What people decided about its hosts'),
  breaker: breakerOrderShape.nullable().describe('What somebody said about the breakers of its callers'),
});

/** `GET /v1/health`. */
export const fleetHealthShape = z.object({
  items: z.array(z.object({
    service: z.string(), callers: z.number().describe('Sidecars that call it'), troubled: z.number().describe('Those of them that hold something against it or its hosts'), troubles: z.array(troubleShape),
  })).describe('Services that some sidecar holds something against, the one with the most first'),
});
