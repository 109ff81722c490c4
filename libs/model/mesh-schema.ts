import { cidr, oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { issue } from './issue.ts';
import { labels } from './names.ts';
import { pathRulesSchema } from './path-rules-schema.ts';
import { redisStoreSchema } from './store-schema.ts';

/** The one document of fleet-wide settings. */
export const meshSchema = z.strictObject({
  kind: z.literal('Mesh'),
  name: z.string().superRefine((name, context) => {
    if (name !== 'mesh') issue(context, 'invalid-name', 'The one Mesh document is named mesh', 'mesh');
  }),
  labels: labels().optional(),
  trustDomain: z.string().max(253).regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'must be a lower-case domain such as shop.example').optional().meta({ description: 'SPIFFE trust domain' }),
  unknownDestinations: oneOf(['refuse', 'pass', 'tls-originate']).optional().meta({ description: 'what the outbound side does with a host that is no declared destination: refuse it, call it as it is, or call it with TLS; default refuse' }),
  connect: oneOf(['refuse', 'declared']).optional().meta({ description: 'whether the outbound side takes CONNECT, for ports of declared destinations that carry TCP; default refuse' }),
  pathRules: pathRulesSchema.optional(),
  trustedProxies: z.array(cidr()).max(1_000).optional().meta({ description: 'networks whose forwarding headers and request ids are believed' }),
  stores: z.strictObject({ redis: redisStoreSchema.optional() }).optional().meta({ description: 'where sidecars count together' }),
});

export type MeshDocument = z.infer<typeof meshSchema>;
