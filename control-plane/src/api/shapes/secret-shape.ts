import { z } from 'zod';
import { shape } from './shape.ts';

export const secretShape = shape('Secret', z.object({
  name: z.string(),
  state: z.enum(['good', 'stale', 'missing']).describe('stale: its source does not answer, the last good value stays; missing: it is referred to, and was never set'),
  source: z.string(),
  version: z.string().describe('Another one for each value'),
  bytes: z.int(),
  createdAt: z.string().nullable(),
  changedAt: z.string().nullable(),
  readAt: z.string().nullable().describe('When its source answered last'),
  author: z.string(),
  problem: z.string().nullable(),
  usedBy: z.array(z.string()).describe('Services and gateways whose sidecars get it'),
  referredBy: z.array(z.string()).describe('Documents that name it'),
}));

export const secretListShape = shape('SecretList', z.object({ items: z.array(secretShape), next: z.string().nullable(), total: z.int() }));

export const secretRekeyShape = shape('SecretRekey', z.object({ secrets: z.int(), credentials: z.int(), encrypted: z.boolean() }));
