import { createCipheriv, createDecipheriv, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import type { Sealer } from '../identity/sealer.ts';
import type { Store } from '../store/store.ts';
import { SecretError } from './secret-error.ts';
import { readKeptSecret, secretLimits, secretNamePattern } from './secret.ts';
import type { KeptSecret, SecretSource, SecretStatus } from './secret.ts';

const namespace = 'secrets';
const cipherName = 'aes-256-gcm';
const tagBytes = 16;

export interface SecretBookDeps {
  readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;
  readonly sealer: Sealer;
  readonly clock: Clock;
}

export interface SecretWrite {
  readonly name: string;
  readonly source: SecretSource;
  readonly value: Uint8Array;
  readonly author: string;
}

/**
 * Secrets by name: written, never read back by any API. Each version of a value is encrypted with a key of its own, bound to name and version; that key is
 * sealed with the control plane's. Outside revisions: no revert brings an old value back. What is answered is durable.
 */
export class SecretBook {
  readonly #deps: SecretBookDeps;
  readonly #secrets = new Map<string, KeptSecret>();
  readonly #problems = new Map<string, string>();
  readonly #listeners = new Set<(name: string) => void>();

  constructor(deps: SecretBookDeps) {
    this.#deps = deps;
    for (const [name, record] of deps.store.records(namespace)) {
      const secret = readKeptSecret(name, record);
      if (secret) this.#secrets.set(name, secret);
    }
  }

  /** The same value from the same source is no new version. Throws SecretError, and IdentityError where no key is given to encrypt with. */
  set({ name, source, value, author }: SecretWrite): SecretStatus {
    checkName(name);
    if (value.length === 0) throw new SecretError('bad-secret', `the value of Secret ${name} is empty`);
    if (value.length > secretLimits.valueBytes) throw new SecretError('bad-secret', `the value of Secret ${name} has ${value.length} bytes, at most ${secretLimits.valueBytes} are possible`);
    const before = this.#secrets.get(name);
    if (!before && this.#secrets.size >= secretLimits.secrets) throw new SecretError('too-many-secrets', `there are ${secretLimits.secrets} Secrets, which is all there can be`);
    const nowMs = this.#deps.clock.wallMs();
    const readMs = source.kind === 'literal' ? null : nowMs;
    this.#problems.delete(name);
    if (before && sameBytes(this.#open(before), value)) {
      const kept = { ...before, source, readMs };
      this.#keep(kept, JSON.stringify(before.source) !== JSON.stringify(source));
      return this.#statusOf(kept);
    }
    const version = randomBytes(8).toString('hex');
    const kept: KeptSecret = { name, source, version, bytes: value.length, createdMs: before?.createdMs ?? nowMs, changedMs: nowMs, author, readMs, ...this.#encrypt(name, version, value) };
    this.#keep(kept, true);
    for (const listener of this.#listeners) listener(name);
    return this.#statusOf(kept);
  }

  /** Its source did not answer: the value stays, the list says why it is not newer. */
  failed(name: string, problem: string): void {
    if (this.#secrets.has(name)) this.#problems.set(name, problem);
  }

  /** By name. */
  list(): readonly SecretStatus[] {
    return [...this.#secrets.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map((one) => this.#statusOf(one));
  }

  find(name: string): SecretStatus | null {
    const kept = this.#secrets.get(name);
    return kept ? this.#statusOf(kept) : null;
  }

  get size(): number {
    return this.#secrets.size;
  }

  get problems(): number {
    return this.#problems.size;
  }

  remove(name: string): boolean {
    if (!this.#secrets.delete(name)) return false;
    this.#problems.delete(name);
    this.#deps.store.putRecords(namespace, new Map([[name, null]]));
    this.#deps.store.flushRecords();
    for (const listener of this.#listeners) listener(name);
    return true;
  }

  /** For the sidecars that need it, and nobody else. Null where there is none. Throws IdentityError where it cannot be opened. */
  valueFor(name: string): Uint8Array | null {
    const kept = this.#secrets.get(name);
    return kept ? this.#open(kept) : null;
  }

  /** Seals the keys of all values anew, with the key of today. Answers how many. */
  reseal(): number {
    const { sealer, store } = this.#deps;
    for (const kept of this.#secrets.values()) {
      if (kept.sealedKey === null) continue;
      const purpose = purposeOf(kept.name, kept.version);
      this.#secrets.set(kept.name, { ...kept, sealedKey: sealer.seal(purpose, sealer.open(purpose, kept.sealedKey)) });
    }
    store.putRecords(namespace, new Map([...this.#secrets.values()].map(({ name, ...facts }) => [name, { ...facts, source: { ...facts.source } }])));
    store.flushRecords();
    return this.#secrets.size;
  }

  /** Told of each Secret that has another value, or is gone. */
  onChange(listener: (name: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #encrypt(name: string, version: string, value: Uint8Array): Pick<KeptSecret, 'sealedKey' | 'nonce' | 'tag' | 'data'> {
    const purpose = purposeOf(name, version);
    const key = randomBytes(32);
    const sealedKey = this.#deps.sealer.seal(purpose, key);
    const nonce = randomBytes(12);
    const cipher = createCipheriv(cipherName, key, nonce).setAAD(Buffer.from(purpose));
    const data = Buffer.concat([cipher.update(value), cipher.final()]);
    key.fill(0);
    return { sealedKey, nonce: nonce.toString('base64'), tag: cipher.getAuthTag().toString('base64'), data: data.toString('base64') };
  }

  #open({ name, version, sealedKey, nonce, tag, data }: KeptSecret): Buffer {
    if (sealedKey === null) throw new SecretError('bad-secret', `Secret ${name}: what is in the store is damaged`);
    const purpose = purposeOf(name, version);
    const key = this.#deps.sealer.open(purpose, sealedKey);
    try {
      const decipher = createDecipheriv(cipherName, key, Buffer.from(nonce, 'base64'), { authTagLength: tagBytes }).setAAD(Buffer.from(purpose)).setAuthTag(Buffer.from(tag, 'base64'));
      return Buffer.concat([decipher.update(Buffer.from(data, 'base64')), decipher.final()]);
    } catch (error) {
      throw new SecretError('bad-secret', `Secret ${name}: what is in the store was changed or is damaged`, { cause: error });
    }
  }

  /** `flush`: nobody is answered before it is on the disk. */
  #keep(kept: KeptSecret, flush: boolean): void {
    const { name, ...facts } = kept;
    this.#secrets.set(name, kept);
    this.#deps.store.putRecords(namespace, new Map([[name, { ...facts, source: { ...facts.source } }]]));
    if (flush) this.#deps.store.flushRecords();
  }

  #statusOf({ name, source, version, bytes, createdMs, changedMs, author, readMs }: KeptSecret): SecretStatus {
    return { name, source, version, bytes, createdMs, changedMs, author, readMs, problem: this.#problems.get(name) ?? '' };
  }
}

function purposeOf(name: string, version: string): string {
  return `secrets/${name}/${version}`;
}

function checkName(name: string): void {
  if (!secretNamePattern.test(name)) throw new SecretError('bad-secret', `${JSON.stringify(name.slice(0, 80))} is not a name of letters, digits, ., _ and -, at most ${secretLimits.nameLength} characters`);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
