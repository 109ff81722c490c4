import { duration } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { issue } from './issue.ts';
import { documentName, hostPattern, named } from './names.ts';

/** `redis.internal:6379`, `10.0.0.7:6379`, `[2001:db8::7]:6379`. */
const address = (): z.ZodString => named(/^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?):(?:[1-9]\d{0,4})$/, 'an address with its port such as redis.internal:6379', 262);
const addresses = z.array(address()).min(1).max(32);
const file = named(/^\/[^\0]{1,4094}$/, 'an absolute path on the host of the sidecar', 4_095);
const secret = z.strictObject({ secret: documentName() });
const user = named(/^[^\s\p{Cc}]{1,256}$/u, 'a user name of at most 256 characters, without white space', 256);

const sentinelSchema = z.strictObject({
  addresses: addresses.meta({ description: 'of the Sentinels' }),
  master: named(/^[A-Za-z0-9._-]{1,128}$/, 'the name of a master such as mymaster', 128).meta({ description: 'the master that they watch' }),
  username: user.optional(),
  password: secret.optional().meta({ description: 'of the Sentinels; Redis has its own' }),
});

/** The Redis that sidecars count in: one of `address`, `sentinel` and `cluster`. */
export const redisStoreSchema = z.strictObject({
  address: address().optional().meta({ description: 'one server' }),
  sentinel: sentinelSchema.optional().meta({ description: 'the master that Sentinels name' }),
  cluster: addresses.optional().meta({ description: 'some nodes of a Redis Cluster' }),
  tls: z.strictObject({
    serverName: hostPattern().optional().meta({ description: 'what the certificate must name; default the host of the address' }),
    caFiles: z.array(file).min(1).max(16).optional().meta({ description: 'authorities that are believed; default those of the system' }),
  }).optional().meta({ description: 'TLS, to Sentinels too' }),
  username: user.optional(),
  password: secret.optional(),
  database: z.int().min(0).max(1_023).optional().meta({ description: 'default 0' }),
  keyPrefix: named(/^[!-~]{0,64}$/, 'at most 64 visible ASCII characters', 64).optional().meta({ description: 'of all keys; default remora:' }),
  deadline: duration({ min: 1, max: 1_000 }).optional().meta({ description: 'the longest that a request waits for an answer; default 10ms' }),
  allowPrivateAddresses: z.boolean().optional().meta({ description: 'whether it may be in a private network; without TLS it must be' }),
}).superRefine((redis, context) => {
  const ways = (['address', 'sentinel', 'cluster'] as const).filter((way) => redis[way] !== undefined);
  if (ways.length === 0) issue(context, 'missing-field', 'needs an address', 'one of address, sentinel, cluster');
  for (const way of ways.slice(1)) issue(context, 'exclusive', `it is ${ways[0]} or ${way}, not both`, 'one of address, sentinel, cluster', [way]);
  for (const [i, text] of [redis.address ?? [], redis.sentinel?.addresses ?? [], redis.cluster ?? []].flat().entries()) {
    if (Number(text.slice(text.lastIndexOf(':') + 1)) > 65_535) issue(context, 'out-of-range', `${text} has a port beyond 65535`, 'a port from 1 to 65535', ways[0] === 'address' ? ['address'] : ways[0] === 'cluster' ? ['cluster', i] : ['sentinel', 'addresses', i]);
  }
  if (redis.cluster !== undefined && (redis.database ?? 0) !== 0) issue(context, 'contradiction', 'a Redis Cluster has database 0 only', '0', ['database']);
  if (redis.username !== undefined && redis.password === undefined) issue(context, 'missing-field', 'a user needs a password', '{secret: NAME}', ['password']);
  if (redis.tls === undefined && redis.allowPrivateAddresses !== true) issue(context, 'contradiction', 'without TLS Redis is reached in private networks only', 'tls, or allowPrivateAddresses: true', ['allowPrivateAddresses']);
});

export type RedisStoreDocument = z.infer<typeof redisStoreSchema>;
