import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import type { Sealer } from '../identity/sealer.ts';
import type { Store } from '../store/store.ts';
import { ConsumerError } from './consumer-error.ts';
import { credentialKey, readCredential } from './credential.ts';
import type { Credential, SigningCredential } from './credential.ts';

export const credentialLimits = {
  /** Of one consumer, all kinds together. */
  perConsumer: 64,
  all: 500_000,
} as const;

const namespace = 'consumers.credentials';
const keyNamespace = 'consumers.key';
const lookupPurpose = 'consumers/lookup-key';

type RecordStore = Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;

export interface CredentialBookDeps {
  readonly store: RecordStore;
  readonly sealer: Sealer;
  readonly clock: Clock;
}

/**
 * What proves consumers: outside revisions, so that no revert brings back what was revoked. Everything that `add`, `expire` and `remove` answer is durable.
 * Listeners are told the names of the consumers whose credentials changed.
 */
export class CredentialBook {
  readonly #deps: CredentialBookDeps;
  readonly #byId = new Map<string, Credential>();
  readonly #byConsumer = new Map<string, Set<Credential>>();
  readonly #byKey = new Map<string, string>();
  readonly #listeners = new Set<(consumers: readonly string[]) => void>();
  #lookupKey: Buffer | null = null;

  constructor(deps: CredentialBookDeps) {
    this.#deps = deps;
    for (const [id, record] of deps.store.records(namespace)) {
      const credential = readCredential(id, record);
      if (credential) this.#index(credential);
    }
  }

  /** The key of the hash under which API keys are known; made at first use. Throws IdentityError where what is kept cannot be opened. */
  lookupKey(): Buffer {
    if (this.#lookupKey) return this.#lookupKey;
    const { store, sealer } = this.#deps;
    const kept = store.records(keyNamespace).get('lookup');
    if (kept) return this.#lookupKey = sealer.open(lookupPurpose, kept);
    const key = randomBytes(32);
    store.putRecords(keyNamespace, new Map([['lookup', sealer.seal(lookupPurpose, key)]]));
    store.flushRecords();
    return this.#lookupKey = key;
  }

  /** As sidecars compute it for what a request shows. */
  digestOf(apiKey: string): string {
    return createHmac('sha256', this.lookupKey()).update(apiKey).digest('base64');
  }

  /** Throws ConsumerError `taken` and `too-many-credentials`. */
  add(credential: Credential): void {
    if ((this.#byConsumer.get(credential.consumer)?.size ?? 0) >= credentialLimits.perConsumer) throw new ConsumerError('too-many-credentials', `Consumer/${credential.consumer} has ${credentialLimits.perConsumer} credentials, which is all it can have; revoke some`);
    if (this.#byId.size >= credentialLimits.all) throw new ConsumerError('too-many-credentials', `there are ${credentialLimits.all} credentials, which is all there can be`);
    const owner = this.#byKey.get(credentialKey(credential));
    // Whose it is, is not told for keys: whoever asks may have guessed it.
    if (owner !== undefined) throw new ConsumerError('taken', credential.kind === 'apiKey' ? 'this key is in use already' : `a credential of ${this.#byId.get(owner)?.consumer ?? ''} is known by the same name`);
    this.#index(credential);
    this.#keep([credential]);
    this.#tell([credential.consumer]);
  }

  find(id: string): Credential | null {
    return this.#byId.get(id) ?? null;
  }

  /** Of one consumer, newest first. */
  of(consumer: string): readonly Credential[] {
    return [...(this.#byConsumer.get(consumer) ?? [])].sort((a, b) => b.createdMs - a.createdMs || (a.id < b.id ? -1 : 1));
  }

  all(): Iterable<Credential> {
    return this.#byId.values();
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Lets it end at a time; null: never. */
  expire(id: string, expiresMs: number | null): Credential | null {
    const before = this.#byId.get(id);
    if (!before) return null;
    const after: Credential = { ...before, expiresMs };
    this.#unindex(before);
    this.#index(after);
    this.#keep([after]);
    this.#tell([after.consumer]);
    return after;
  }

  remove(ids: readonly string[]): readonly Credential[] {
    const gone = ids.flatMap((id) => this.#byId.get(id) ?? []);
    if (gone.length === 0) return gone;
    for (const credential of gone) this.#unindex(credential);
    this.#deps.store.putRecords(namespace, new Map(gone.map(({ id }) => [id, null])));
    this.#deps.store.flushRecords();
    this.#tell([...new Set(gone.map(({ consumer }) => consumer))]);
    return gone;
  }

  /** A consumer that comes back under the same name is another one. */
  removeConsumersNotIn(consumers: { has(name: string): boolean }): void {
    const gone = [...this.#byConsumer.keys()].filter((name) => !consumers.has(name));
    this.remove(gone.flatMap((name) => [...(this.#byConsumer.get(name) ?? [])].map(({ id }) => id)));
  }

  /** A shared secret in clear. Throws IdentityError where it cannot be opened. */
  secretOf(credential: SigningCredential): Buffer {
    return credential.sealed === null ? Buffer.from(credential.publicKey, 'base64') : this.#deps.sealer.open(sealPurpose(credential.id), credential.sealed);
  }

  /** Seals everything anew, with the key of today. Answers how many. */
  reseal(): number {
    const { store, sealer } = this.#deps;
    const key = this.lookupKey();
    const again = [...this.#byId.values()].filter((one): one is SigningCredential => (one.kind === 'hmac' || one.kind === 'jwt') && one.sealed !== null)
      .map((one): SigningCredential => ({ ...one, sealed: sealer.seal(sealPurpose(one.id), this.secretOf(one)) }));
    for (const credential of again) {
      const before = this.#byId.get(credential.id);
      if (before) this.#unindex(before);
      this.#index(credential);
    }
    store.putRecords(keyNamespace, new Map([['lookup', sealer.seal(lookupPurpose, key)]]));
    this.#keep(again);
    return again.length + 1;
  }

  onChange(listener: (consumers: readonly string[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #index(credential: Credential): void {
    this.#byId.set(credential.id, credential);
    this.#byKey.set(credentialKey(credential), credential.id);
    const own = this.#byConsumer.get(credential.consumer);
    if (own) own.add(credential);
    else this.#byConsumer.set(credential.consumer, new Set([credential]));
  }

  #unindex(credential: Credential): void {
    this.#byId.delete(credential.id);
    this.#byKey.delete(credentialKey(credential));
    const own = this.#byConsumer.get(credential.consumer);
    own?.delete(credential);
    if (own?.size === 0) this.#byConsumer.delete(credential.consumer);
  }

  #keep(credentials: readonly Credential[]): void {
    this.#deps.store.putRecords(namespace, new Map(credentials.map(({ id, ...facts }) => [id, { ...facts }])));
    this.#deps.store.flushRecords();
  }

  #tell(consumers: readonly string[]): void {
    for (const listener of this.#listeners) listener(consumers);
  }
}

/** What a sealed secret is bound to. */
export function sealPurpose(id: string): string {
  return `consumers/${id}`;
}
