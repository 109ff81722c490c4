import { ConsumersPart, type PlanLimit, type PlanQuota } from '@remora/proto/gen/remora/consumers/v1/consumers';
import type { CertificateMatch, ConsumerCredential, ConsumerPassword, ConsumerSigningKey } from './consumer-credentials.ts';
import { certificateMatches } from './consumer-credentials.ts';
import type { ConsumerFacts } from './request-identity.ts';

/** Limits of a Plan. */
export interface PlanFacts {
  readonly name: string;
  readonly limits: readonly PlanLimitFacts[];
  readonly quotas: readonly PlanQuotaFacts[];
}

/** Without throttle both of its numbers are 0. */
export interface PlanQuotaFacts {
  readonly name: string;
  readonly requests: number;
  readonly per: 'hour' | 'day' | 'month';
  readonly timeZone: string;
  readonly startsOn: number;
  readonly throttleRequests: number;
  readonly throttlePerMs: number;
}

export interface PlanLimitFacts {
  readonly name: string;
  readonly algorithm: 'tokenBucket' | 'fixedWindow' | 'slidingWindow';
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
  readonly sharedBy: 'instance' | 'service' | 'fleet';
}

/** `apiKey.17`, `apiKey.17.1`: what is in a part, and of which consumers. -1: of none in particular. */
export function partitionOf(name: string): number {
  const dot = name.indexOf('.');
  return dot < 0 ? -1 : Number.parseInt(name.slice(dot + 1), 10);
}

/** The consumers of one partition with everything that proves them. */
export interface ConsumerPartition {
  readonly consumers: readonly { readonly facts: ConsumerFacts; readonly identities: ConsumersPart['consumers'][number]['identities'] }[];
  readonly apiKeys: readonly (ConsumerCredential & { readonly digest: string })[];
  readonly passwords: readonly ConsumerPassword[];
  readonly signingKeys: readonly ConsumerSigningKey[];
  readonly tokenKeys: readonly ConsumerSigningKey[];
  readonly certificates: readonly (ConsumerCredential & { readonly match: CertificateMatch; readonly value: string })[];
}

/** Joins the parts of one partition. Credentials whose consumer is not among them are left out: nobody is proved by them. Throws where bytes are no part. */
export function readPartition(bodies: readonly Uint8Array[]): ConsumerPartition {
  const parts = bodies.map((body) => ConsumersPart.decode(body));
  const consumers = parts.flatMap((part) => part.consumers).map(({ name, groups, plan, identities }) => ({ facts: Object.freeze({ name, groups: Object.freeze(groups), plan }), identities }));
  const byName = new Map(consumers.map(({ facts }) => [facts.name, facts]));
  const owned = <W extends { consumer: string; id: string; expiresMs: bigint }, T>(list: readonly W[], read: (wire: W, credential: ConsumerCredential) => T | null): T[] => list.flatMap((wire) => {
    const consumer = byName.get(wire.consumer);
    const made = consumer === undefined ? null : read(wire, { consumer, id: wire.id, expiresMs: wire.expiresMs === 0n ? Number.POSITIVE_INFINITY : Number(wire.expiresMs) });
    return made === null ? [] : [made];
  });
  return {
    consumers,
    apiKeys: owned(parts.flatMap((part) => part.apiKeys), ({ digest }, credential) => ({ ...credential, digest: Buffer.from(digest).toString('base64') })),
    passwords: owned(parts.flatMap((part) => part.passwords), ({ user, algorithm, salt, cost, blockSize, parallelization, hash }, credential) => (
      algorithm === 'scrypt' ? { ...credential, user, salt, cost, blockSize, parallelization, hash } : null)),
    signingKeys: owned(parts.flatMap((part) => part.signingKeys), readSigningKey),
    tokenKeys: owned(parts.flatMap((part) => part.tokenKeys), readSigningKey),
    certificates: owned(parts.flatMap((part) => part.certificates), ({ match, value }, credential) => {
      const known = certificateMatches.find((one) => one === match);
      return known === undefined ? null : { ...credential, match: known, value };
    }),
  };
}

function readSigningKey({ keyId, algorithm, key, issuer }: ConsumersPart['signingKeys'][number], credential: ConsumerCredential): ConsumerSigningKey {
  return { ...credential, keyId, algorithm, key, issuer };
}

/** The plans of the part `plans`, and the lookup key of the part `key`. Throws where bytes are no part. */
export function readCommonPart(body: Uint8Array): { readonly plans: readonly PlanFacts[]; readonly lookupKey: Uint8Array } {
  const { plans, lookupKey } = ConsumersPart.decode(body);
  return { plans: plans.map(({ name, limits, quotas }) => Object.freeze({ name, limits: limits.flatMap(readLimit), quotas: quotas.flatMap(readQuota) })), lookupKey };
}

const algorithms = ['tokenBucket', 'fixedWindow', 'slidingWindow'] as const;

function readLimit({ name, algorithm, requests, perMs, burst, sharedBy }: PlanLimit): PlanLimitFacts[] {
  const known = algorithms.find((one) => one === algorithm);
  const shared = sharedBy === 'service' || sharedBy === 'fleet' ? sharedBy : 'instance';
  return known === undefined || requests < 1 || perMs < 1 ? [] : [Object.freeze({ name, algorithm: known, requests, perMs, burst, sharedBy: shared })];
}

const periods = ['hour', 'day', 'month'] as const;

function readQuota({ name, requests, per, timeZone, startsOn, throttleRequests, throttlePerMs }: PlanQuota): PlanQuotaFacts[] {
  const known = periods.find((one) => one === per);
  return known === undefined || requests < 1 ? [] : [Object.freeze({ name, requests, per: known, timeZone, startsOn: Math.min(28, Math.max(1, startsOn)), throttleRequests, throttlePerMs })];
}
