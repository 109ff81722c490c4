import type { ConsumerDocument } from '@remora/model/consumer-schema';
import { planLimits, planQuotas } from '@remora/model/plan-schema';
import type { PlanDocument } from '@remora/model/plan-schema';
import { ConsumersPart } from '@remora/proto/gen/remora/consumers/v1/consumers';
import type { ConsumerProof } from '@remora/policy-kit/authoring-kind';
import type { Credential } from './credential.ts';
import type { CredentialBook } from './credential-book.ts';

/** Consumers are spread over this many parts by their names. */
export const partCount = 256;
/** A part beyond this is divided. Below what an item may have. */
const partBytesMax = 200 * 1024;

/** FNV-1a of the name. */
export function partitionOfConsumer(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (partCount - 1);
}

const noParts: ConsumersPart = { consumers: [], apiKeys: [], passwords: [], signingKeys: [], tokenKeys: [], certificates: [], plans: [], lookupKey: Buffer.alloc(0) };

/** Who they are, without what proves them. */
export function encodeConsumers(consumers: readonly ConsumerDocument[]): Uint8Array[] {
  return chunks(sorted(consumers, ({ name }) => name).map(({ name, groups = [], plan = '', identities = [] }) => ({ name, groups: [...groups].sort(), plan, identities: [...identities] })), (list) => ({ ...noParts, consumers: list }));
}

/** What proves them in one way. */
export function encodeProofs(proof: ConsumerProof, consumers: readonly ConsumerDocument[], book: CredentialBook): Uint8Array[] {
  const own = consumers.flatMap(({ name }) => book.of(name).filter(({ kind }) => kind === proof));
  const found = sorted(own, ({ consumer, id }) => `${consumer}\n${id}`);
  const list = <K extends Credential['kind']>(kind: K): Extract<Credential, { kind: K }>[] => found.filter((one): one is Extract<Credential, { kind: K }> => one.kind === kind);
  switch (proof) {
    case 'apiKey':
      return chunks(list(proof).map((one) => ({ ...base(one), digest: Buffer.from(one.digest, 'base64') })), (apiKeys) => ({ ...noParts, apiKeys }));
    case 'basic':
      return chunks(list(proof).map((one) => ({
        ...base(one), user: one.user, algorithm: 'scrypt', salt: Buffer.from(one.salt, 'base64'), hash: Buffer.from(one.hash, 'base64'), cost: one.cost, blockSize: one.blockSize, parallelization: one.parallelization,
      })), (passwords) => ({ ...noParts, passwords }));
    case 'hmac':
    case 'jwt': {
      const keys = found.flatMap((one) => (one.kind === 'hmac' || one.kind === 'jwt' ? [{ ...base(one), keyId: one.keyId, algorithm: one.algorithm, issuer: one.issuer, key: book.secretOf(one) }] : []));
      return chunks(keys, (list) => (proof === 'hmac' ? { ...noParts, signingKeys: list } : { ...noParts, tokenKeys: list }));
    }
    case 'certificate':
      return chunks(list(proof).map((one) => ({ ...base(one), match: one.match, value: one.value })), (certificates) => ({ ...noParts, certificates }));
  }
}

export function encodePlans(plans: Iterable<PlanDocument>): Uint8Array[] {
  return chunks(sorted([...plans], ({ name }) => name).map((plan) => ({ name: plan.name, limits: planLimits(plan).map((limit) => ({ ...limit, sharedBy: limit.sharedBy === 'instance' ? '' : limit.sharedBy })), quotas: planQuotas(plan) })), (list) => ({ ...noParts, plans: list }));
}

export function encodeLookupKey(lookupKey: Buffer): Uint8Array {
  return ConsumersPart.encode({ ...noParts, lookupKey }).finish();
}

function base({ consumer, id, expiresMs }: Credential): { readonly consumer: string; readonly id: string; readonly expiresMs: bigint } {
  return { consumer, id, expiresMs: expiresMs === null ? 0n : BigInt(expiresMs) };
}

/** As few messages as fit; none where there is nothing. */
function chunks<T>(list: readonly T[], part: (list: T[]) => ConsumersPart): Uint8Array[] {
  if (list.length === 0) return [];
  const bytes = ConsumersPart.encode(part([...list])).finish();
  if (bytes.length <= partBytesMax || list.length === 1) return [bytes];
  const half = list.length >> 1;
  return [...chunks(list.slice(0, half), part), ...chunks(list.slice(half), part)];
}

function sorted<T>(list: readonly T[], key: (one: T) => string): T[] {
  return [...list].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
