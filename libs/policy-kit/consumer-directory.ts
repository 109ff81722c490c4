import type { Json } from '@remora/core/canonical-json';
import { claimValue } from './claim-value.ts';
import type { CertificateMatch, CertificateNames, ConsumerCredential, ConsumerPassword, ConsumerSigningKey } from './consumer-credentials.ts';
import { partitionOf, readCommonPart, readPartition, type ConsumerPartition, type PlanFacts } from './consumer-parts.ts';
import type { FactBook } from './facts.ts';
import type { ConsumerFacts } from './request-identity.ts';

/**
 * The API's clients as this sidecar knows them. Always as new as the facts: each question looks whether they moved. Answers are frozen and shared; who keeps
 * one asks again for the next request. What proves a consumer is only as much as the kinds of this sidecar need (`AuthoringKind.consumers`).
 */
export interface ConsumerDirectory {
  /** Whether anything came yet: before, nobody can be recognised, and that is not the client's fault. */
  readonly known: boolean;
  byName(name: string): ConsumerFacts | null;
  /** Whose token this is: the first identity of the issuer that the claims have, by name of the claim. */
  byIdentity(issuer: string, claims: Readonly<Record<string, Json>>): ConsumerFacts | null;
  /** `digest`: HMAC-SHA-256 of the key under `lookupKey`, base64. */
  byApiKey(digest: string): ConsumerCredential | null;
  byUser(user: string): ConsumerPassword | null;
  /** `hmac`: keys that sign requests; `jwt`: those of tokens, of one issuer. */
  byKeyId(kind: 'hmac' | 'jwt', keyId: string, issuer?: string): ConsumerSigningKey | null;
  /** Keys of tokens of one issuer, whatever they are called; for tokens that name none. */
  tokenKeys(issuer: string): readonly ConsumerSigningKey[];
  byCertificate(names: CertificateNames): ConsumerCredential | null;
  plan(name: string): PlanFacts | null;
  /** 32 bytes; null: not known yet. */
  readonly lookupKey: Uint8Array | null;
}

/** The directory over a book of facts of kind `consumers`: one for each, whoever asks. */
export function consumerDirectory(book: FactBook): ConsumerDirectory {
  let directory = directories.get(book);
  if (directory === undefined) directories.set(book, directory = new IndexedDirectory(book));
  return directory;
}

const directories = new WeakMap<FactBook, ConsumerDirectory>();

/** Values by claim, by issuer. */
type Identities = Map<string, Map<string, Map<string, ConsumerFacts>>>;

const noKeys: readonly ConsumerSigningKey[] = Object.freeze([]);

class IndexedDirectory implements ConsumerDirectory {
  readonly #book: FactBook;
  #seen = 0;
  /** Bytes of each part as they were read. */
  #parts = new Map<string, Uint8Array>();
  readonly #partitions = new Map<number, ConsumerPartition>();
  readonly #names = new Map<string, ConsumerFacts>();
  readonly #identities: Identities = new Map();
  readonly #apiKeys = new Map<string, ConsumerCredential>();
  readonly #users = new Map<string, ConsumerPassword>();
  readonly #signingKeys = new Map<string, ConsumerSigningKey>();
  readonly #tokenKeys = new Map<string, ConsumerSigningKey[]>();
  readonly #certificates = new Map<string, ConsumerCredential>();
  #plans: ReadonlyMap<string, PlanFacts> = new Map();
  #lookupKey: Uint8Array | null = null;

  constructor(book: FactBook) {
    this.#book = book;
  }

  get known(): boolean {
    return this.#book.version > 0;
  }

  get lookupKey(): Uint8Array | null {
    this.#refresh();
    return this.#lookupKey;
  }

  byName(name: string): ConsumerFacts | null {
    this.#refresh();
    return this.#names.get(name) ?? null;
  }

  byIdentity(issuer: string, claims: Readonly<Record<string, Json>>): ConsumerFacts | null {
    this.#refresh();
    const ofIssuer = this.#identities.get(issuer);
    if (ofIssuer === undefined) return null;
    let first = '';
    let found: ConsumerFacts | null = null;
    for (const [claim, values] of ofIssuer) {
      if (found !== null && claim > first) continue;
      const consumer = consumerOf(values, claimValue(claims, claim));
      if (consumer === null) continue;
      first = claim;
      found = consumer;
    }
    return found;
  }

  byApiKey(digest: string): ConsumerCredential | null {
    this.#refresh();
    return this.#apiKeys.get(digest) ?? null;
  }

  byUser(user: string): ConsumerPassword | null {
    this.#refresh();
    return this.#users.get(user) ?? null;
  }

  byKeyId(kind: 'hmac' | 'jwt', keyId: string, issuer = ''): ConsumerSigningKey | null {
    this.#refresh();
    if (kind === 'hmac') return this.#signingKeys.get(keyId) ?? null;
    return this.#tokenKeys.get(issuer)?.find((key) => key.keyId === keyId) ?? null;
  }

  tokenKeys(issuer: string): readonly ConsumerSigningKey[] {
    this.#refresh();
    return this.#tokenKeys.get(issuer) ?? noKeys;
  }

  byCertificate(names: CertificateNames): ConsumerCredential | null {
    this.#refresh();
    if (this.#certificates.size === 0) return null;
    const find = (match: CertificateMatch, values: readonly string[]): ConsumerCredential | null => {
      for (const value of values) {
        const found = this.#certificates.get(certificateKey(match, value));
        if (found !== undefined) return found;
      }
      return null;
    };
    return find('fingerprint', [names.fingerprint]) ?? find('uri', names.uris) ?? find('dns', names.dnsNames.map((name) => name.toLowerCase()))
      ?? find('email', names.emails) ?? find('subject', [names.subject]);
  }

  plan(name: string): PlanFacts | null {
    this.#refresh();
    return this.#plans.get(name) ?? null;
  }

  #refresh(): void {
    if (this.#book.version === this.#seen) return;
    this.#seen = this.#book.version;
    const parts = new Map<string, Uint8Array>();
    for (const name of this.#book.names()) {
      const body = this.#book.get(name);
      if (body !== undefined) parts.set(name, body);
    }
    const moved = movedPartitions(this.#parts, parts);
    this.#parts = parts;
    if (moved.delete(-1)) this.#readCommon();
    for (const partition of moved) this.#drop(partition);
    const bodies = new Map<number, Uint8Array[]>();
    for (const [name, body] of parts) {
      const partition = partitionOf(name);
      if (!moved.has(partition)) continue;
      const list = bodies.get(partition);
      if (list === undefined) bodies.set(partition, [body]);
      else list.push(body);
    }
    for (const [partition, list] of bodies) this.#add(partition, readPartition(list));
  }

  #readCommon(): void {
    const plans = new Map<string, PlanFacts>();
    this.#lookupKey = null;
    for (const [name, body] of this.#parts) {
      if (partitionOf(name) !== -1) continue;
      const common = readCommonPart(body);
      for (const plan of common.plans) plans.set(plan.name, plan);
      if (common.lookupKey.length > 0) this.#lookupKey = common.lookupKey;
    }
    this.#plans = plans;
  }

  #add(number: number, partition: ConsumerPartition): void {
    this.#partitions.set(number, partition);
    for (const { facts, identities } of partition.consumers) {
      this.#names.set(facts.name, facts);
      for (const { issuer, claim, value } of identities) inner(inner(this.#identities, issuer), claim).set(value, facts);
    }
    for (const key of partition.apiKeys) this.#apiKeys.set(key.digest, key);
    for (const password of partition.passwords) this.#users.set(password.user, password);
    for (const key of partition.signingKeys) this.#signingKeys.set(key.keyId, key);
    for (const key of partition.tokenKeys) this.#tokenKeys.set(key.issuer, [...(this.#tokenKeys.get(key.issuer) ?? []), key]);
    for (const certificate of partition.certificates) this.#certificates.set(certificateKey(certificate.match, certificate.value), certificate);
  }

  /** What another partition has taken over meanwhile stays. */
  #drop(number: number): void {
    const partition = this.#partitions.get(number);
    if (partition === undefined) return;
    this.#partitions.delete(number);
    for (const { facts, identities } of partition.consumers) {
      remove(this.#names, facts.name, facts);
      for (const { issuer, claim, value } of identities) this.#dropIdentity(issuer, claim, value, facts);
    }
    for (const key of partition.apiKeys) remove(this.#apiKeys, key.digest, key);
    for (const password of partition.passwords) remove(this.#users, password.user, password);
    for (const key of partition.signingKeys) remove(this.#signingKeys, key.keyId, key);
    for (const key of partition.tokenKeys) {
      const left = (this.#tokenKeys.get(key.issuer) ?? []).filter((one) => one !== key);
      if (left.length === 0) this.#tokenKeys.delete(key.issuer);
      else this.#tokenKeys.set(key.issuer, left);
    }
    for (const certificate of partition.certificates) remove(this.#certificates, certificateKey(certificate.match, certificate.value), certificate);
  }

  #dropIdentity(issuer: string, claim: string, value: string, facts: ConsumerFacts): void {
    const ofIssuer = this.#identities.get(issuer);
    const values = ofIssuer?.get(claim);
    if (ofIssuer === undefined || values === undefined) return;
    remove(values, value, facts);
    if (values.size === 0) ofIssuer.delete(claim);
    if (ofIssuer.size === 0) this.#identities.delete(issuer);
  }
}

/** Partitions of which a part came, went or changed. */
function movedPartitions(before: ReadonlyMap<string, Uint8Array>, after: ReadonlyMap<string, Uint8Array>): Set<number> {
  const moved = new Set<number>();
  for (const [name, body] of after) if (!sameBytes(before.get(name), body)) moved.add(partitionOf(name));
  for (const name of before.keys()) if (!after.has(name)) moved.add(partitionOf(name));
  return moved;
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a === b || (a !== undefined && a.length === b.length && Buffer.compare(a, b) === 0);
}

function consumerOf(values: ReadonlyMap<string, ConsumerFacts>, value: Json | undefined): ConsumerFacts | null {
  if (typeof value === 'string') return values.get(value) ?? null;
  if (typeof value === 'number' || typeof value === 'boolean') return values.get(String(value)) ?? null;
  if (!Array.isArray(value)) return null;
  for (const item of value as readonly Json[]) {
    const found = typeof item === 'string' ? values.get(item) : undefined;
    if (found !== undefined) return found;
  }
  return null;
}

function certificateKey(match: string, value: string): string {
  return `${match}:${value}`;
}

function inner<V>(map: Map<string, Map<string, V>>, key: string): Map<string, V> {
  let found = map.get(key);
  if (found === undefined) map.set(key, found = new Map());
  return found;
}

function remove<V>(map: Map<string, V>, key: string, value: V): void {
  if (map.get(key) === value) map.delete(key);
}
