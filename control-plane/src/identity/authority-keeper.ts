import { createPrivateKey } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { certificatePem, readCertificates } from '@remora/identity/pem';
import { defaultTrustDomain } from '@remora/identity/trust-domain';
import type { ProcessLog } from '../process-log.ts';
import type { Store } from '../store/store.ts';
import { IdentityError } from './identity-error.ts';
import type { Sealer } from './sealer.ts';
import { authorityFromFiles, generateAuthority, type SigningAuthority } from './signing-authority.ts';

export interface AuthorityFiles {
  readonly certificates: string;
  readonly key: string;
}

export interface AuthorityKeeperDeps {
  readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: ProcessLog;
  /** null: an authority of our own. Rejects or throws where a file cannot be read. */
  readonly readFiles: (() => AuthorityFiles) | null;
}

const namespace = 'identity.authority';
const purpose = 'key of the certificate authority';
/** How often files are looked at. */
const filesEveryMs = 30_000;

/**
 * Has the certificate authority: made at the first start and kept in the store, or read from files and read again when they
 * change. Its trust domain is the Mesh document's until the first join token or certificate; from then on it stays, because
 * everybody who has a certificate would be a stranger in another one.
 */
export class AuthorityKeeper {
  readonly #deps: AuthorityKeeperDeps;
  readonly #listeners = new Set<() => void>();
  #authority: SigningAuthority;
  #wantedTrustDomain: string;
  #used = false;
  #filesProblem = '';
  #lastFiles = '';
  #timer: Timer | null = null;

  /** Throws IdentityError where what is stored or given cannot be used. */
  constructor(deps: AuthorityKeeperDeps, meshTrustDomain: string | null) {
    this.#deps = deps;
    this.#wantedTrustDomain = meshTrustDomain ?? defaultTrustDomain;
    this.#used = this.#stored('use') !== null;
    this.#authority = deps.readFiles ? this.#fromFiles() : (this.#fromStore() ?? this.#generate());
    this.followMesh(meshTrustDomain);
    if (deps.readFiles) this.#timer = deps.timers.every(filesEveryMs, () => this.reload());
  }

  get authority(): SigningAuthority {
    return this.#authority;
  }

  get encrypted(): boolean {
    return this.#deps.readFiles !== null || this.#deps.sealer.encrypts;
  }

  /** What a person should know; '' where all is well. */
  get problem(): string {
    if (this.#filesProblem !== '') return this.#filesProblem;
    if (this.#wantedTrustDomain === this.#authority.trustDomain) return '';
    return `the Mesh document names the trust domain ${this.#wantedTrustDomain}; certificates were issued in ${this.#authority.trustDomain}, which stays`;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** From now on the trust domain stays: something was handed out that depends on it. */
  markUsed(): void {
    if (this.#used) return;
    this.#used = true;
    this.#deps.store.putRecords(namespace, new Map([['use', { trustDomain: this.#authority.trustDomain }]]));
  }

  followMesh(trustDomain: string | null): void {
    this.#wantedTrustDomain = trustDomain ?? defaultTrustDomain;
    if (this.#wantedTrustDomain === this.#authority.trustDomain) return;
    if (this.#used) return this.#deps.log.error('the trust domain cannot be changed any more', { problem: this.problem });
    try {
      this.#authority = this.#deps.readFiles ? this.#fromFiles() : this.#generate();
    } catch (error) {
      return this.#deps.log.error('the certificate authority cannot follow the trust domain of the Mesh document', { problem: (error as Error).message });
    }
    this.#changed();
  }

  /** Looks at the files again; what cannot be used is told, and what was before stays. */
  reload(): void {
    if (!this.#deps.readFiles) return;
    const before = this.#lastFiles;
    try {
      const next = this.#fromFiles();
      if (this.#filesProblem !== '') this.#deps.log.info('the files of the certificate authority can be used again');
      this.#filesProblem = '';
      if (this.#lastFiles === before) return;
      this.#authority = next;
      this.#deps.log.info('the certificate authority was read again', { ends: next.issuer.validToDate.toISOString() });
      this.#changed();
    } catch (error) {
      const problem = (error as Error).message;
      if (problem !== this.#filesProblem) this.#deps.log.error('the files of the certificate authority cannot be used; the one before stays', { problem });
      this.#filesProblem = problem;
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#listeners.clear();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #fromFiles(): SigningAuthority {
    const files = this.#deps.readFiles?.() ?? { certificates: '', key: '' };
    const trustDomain = this.#used ? textOf(this.#stored('use'), 'trustDomain') : this.#wantedTrustDomain;
    const made = authorityFromFiles({ ...files, trustDomain, nowMs: this.#deps.clock.wallMs() });
    if (typeof made === 'string') throw new IdentityError('bad-authority', made);
    this.#lastFiles = `${files.certificates}\n${files.key}`;
    return made;
  }

  #fromStore(): SigningAuthority | null {
    const record = this.#stored('authority');
    if (record === null) return null;
    const roots = readCertificates(textOf(record, 'certificate'));
    const [root] = roots;
    if (typeof roots === 'string' || root === undefined || typeof root === 'string') throw new IdentityError('bad-authority', 'the certificate of the authority in the store cannot be read');
    const sealed = (record['key'] ?? {}) as JsonObject;
    const der = this.#deps.sealer.open(purpose, sealed);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const authority: SigningAuthority = { trustDomain: textOf(record, 'trustDomain'), source: 'generated', issuer: root, key, intermediates: [], roots: [root] };
    // Was kept in the open until an encryption key was given: no longer.
    if (this.#deps.sealer.encrypts && sealed['cipher'] === 'none') this.#keep(authority);
    return authority;
  }

  #generate(): SigningAuthority {
    const made = generateAuthority(this.#wantedTrustDomain, this.#deps.clock.wallMs());
    this.#keep(made);
    this.#deps.log.info('made a certificate authority', { trustDomain: made.trustDomain, fingerprint: made.issuer.fingerprint256 });
    return made;
  }

  #keep({ trustDomain, issuer, key }: SigningAuthority): void {
    const sealed = this.#deps.sealer.seal(purpose, key.export({ type: 'pkcs8', format: 'der' }));
    this.#deps.store.putRecords(namespace, new Map([['authority', { trustDomain, certificate: certificatePem(issuer.raw), key: sealed }]]));
    this.#deps.store.flushRecords();
  }

  #stored(key: string): JsonObject | null {
    return this.#deps.store.records(namespace).get(key) ?? null;
  }
}

function textOf(record: JsonObject | null, name: string): string {
  const value = record?.[name];
  return typeof value === 'string' ? value : '';
}
