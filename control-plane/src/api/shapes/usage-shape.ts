import { z } from 'zod';

/** `GET /v1/usage`. */
export const usageListShape = z.object({
  items: z.array(z.object({
    consumer: z.string(),
    plan: z.string(),
    quota: z.string(),
    per: z.enum(['hour', 'day', 'month']),
    period: z.string().describe('`2026-11`, `2026-11-22`, `2026-11-22T20`'),
    start: z.string(),
    end: z.string(),
    requests: z.number().describe('What the Plan gives now'),
    used: z.number().describe('With what sidecars have leased and not used yet: at most a thousandth for each data thread'),
    remaining: z.number(),
  })),
  next: z.string().nullable().describe('`after` of the next page; null: this is the last'),
});
