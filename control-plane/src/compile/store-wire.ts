import { parseDurationMs } from '@remora/core/units';
import type { RedisStoreDocument } from '@remora/model/store-schema';
import type { RedisStore } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

const defaultDeadlineMs = 10;

/** The store as sidecars get it; values of Secrets travel apart. */
export function wireRedis(redis: RedisStoreDocument): RedisStore {
  const { sentinel, cluster, address, tls } = redis;
  return {
    mode: sentinel !== undefined ? 'sentinel' : cluster !== undefined ? 'cluster' : 'single',
    addresses: [...(sentinel?.addresses ?? cluster ?? [address ?? ''])],
    master: sentinel?.master ?? '',
    tls: tls !== undefined,
    serverName: tls?.serverName ?? '',
    caFiles: [...(tls?.caFiles ?? [])],
    username: redis.username ?? '',
    passwordSecret: redis.password?.secret ?? '',
    sentinelUsername: sentinel?.username ?? '',
    sentinelPasswordSecret: sentinel?.password?.secret ?? '',
    database: redis.database ?? 0,
    keyPrefix: redis.keyPrefix ?? 'remora:',
    deadlineMs: parseDurationMs(redis.deadline ?? '') ?? defaultDeadlineMs,
    allowPrivateAddresses: redis.allowPrivateAddresses ?? false,
  };
}
