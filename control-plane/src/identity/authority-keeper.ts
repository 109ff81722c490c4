import { createPrivateKey, type X509Certificate } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { svidLifeMs } from '@remora/identity/certificate-profile';
import { certificatePem, readCertificate, readCertificates } from '@remora/identity/pem';
import { bundleDigest, renewWithinDefaultMs } from '@remora/identity/trust-bundle-facts';
import { defaultTrustDomain } from '@remora/identity/trust-domain';
import type { ProcessLog } from '../process-log.ts';
import type { Store } from '../store/store.ts';
import { IdentityError } from './identity-error.ts';
import type { Sealer } from './sealer.ts';
import { readRotation, rotationRecord, type Rotation } from './rotation-record.ts';
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
  /** The authority to roll to, where ours is from files; null where none is given. */
  readonly readNextFiles?: (() => AuthorityFiles) | null;
  readonly recoveryMs: number;
}

const namespace = 'identity.authority';
const purpose = 'key of the certificate authority';
/** How often files are looked at. */
const filesEveryMs = 30_000;
/** Retired roots that are remembered. */
const retiredMax = 16;

/**
 * Has the certificate authority: made at the first start and kept in the store, or read from files and read again when they
 * change. Its trust domain is the Mesh document's until the first join token or certificate; from then on it stays, because
 * everybody who has a certificate would be a stranger in another one.
 */
export class AuthorityKeeper {
  readonly #deps: AuthorityKeeperDeps;
  readonly #listeners = new Set<() => void>();
  /** The one that signs but in the second stage of a rotation, when the next one does. */
  #main: SigningAuthority;
  #rotation: Rotation | null = null;
  #retired: readonly { readonly root: X509Certificate; readonly untilMs: number }[] = [];
  #sequence = 0;
  #renewWithinMs = renewWithinDefaultMs;
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
    this.#main = deps.readFiles ? this.#fromFiles() : (this.#fromStore() ?? this.#generate());
    this.#readRotation();
    this.followMesh(meshTrustDomain);
    this.#noteBundle();
    if (deps.readFiles) this.#timer = deps.timers.every(filesEveryMs, () => this.reload());
  }

  /** What signs, and every root that counts, its own first. */
  get authority(): SigningAuthority {
    const { stage, next } = this.#rotation ?? { stage: 'add', next: null };
    return stage === 'sign' && next ? withRoots(next, this.#main.roots) : withRoots(this.#main, next?.roots ?? []);
  }

  /** What the control plane's own certificates are of: the root that everybody has longest, who was away for a while too. */
  get serving(): SigningAuthority {
    return withRoots(this.#main, this.#rotation?.next.roots ?? []);
  }

  get rotation(): Rotation | null {
    return this.#rotation;
  }

  /** Grows with each change of what sidecars must know of the roots. */
  get sequence(): number {
    return this.#sequence;
  }

  get renewWithinMs(): number {
    return this.#renewWithinMs;
  }

  /** Roots that do not count any more, but under which certificates were issued that may still be renewed. */
  get retiredRoots(): readonly X509Certificate[] {
    const nowMs = this.#deps.clock.wallMs();
    return this.#retired.filter(({ untilMs }) => untilMs > nowMs).map(({ root }) => root);
  }

  /** The next root counts from now on, beside the one that signs. Durable when it returns. */
  startRotation(windowMs: number): void {
    if (this.#rotation) throw new IdentityError('bad-stage', 'a rotation of the authority is under way already');
    const nowMs = this.#deps.clock.wallMs();
    const next = this.#deps.readFiles ? this.#nextFromFiles() : generateAuthority(this.#main.trustDomain, nowMs);
    if (next === null) throw new IdentityError('no-next-authority', 'the authority is from files, and the one to roll to is not given: --ca-next-certificate-file and --ca-next-key-file');
    if (next.roots.every((root) => this.#main.roots.some(({ raw }) => raw.equals(root.raw)))) throw new IdentityError('no-next-authority', 'the next authority has no other root than the one that signs: nothing would change for anybody');
    this.markUsed();
    this.#renewWithinMs = windowMs;
    this.#rotate({ stage: 'add', next, startedMs: nowMs, changedMs: nowMs, windowMs });
  }

  /** `add` to `sign`, `sign` to the end. Durable when it returns. */
  nextStage(): void {
    const rotation = this.#rotation;
    if (!rotation) throw new IdentityError('bad-stage', 'no rotation of the authority is under way');
    if (rotation.stage === 'add') return this.#rotate({ ...rotation, stage: 'sign', changedMs: this.#deps.clock.wallMs() });
    this.#retire(this.#main.roots.filter((root) => !rotation.next.roots.some(({ raw }) => raw.equals(root.raw))));
    this.#main = rotation.next;
    if (rotation.next.source === 'generated') this.#keep(rotation.next);
    else this.#deps.store.putRecords(namespace, new Map([['promoted', { issuer: rotation.next.issuer.fingerprint256 }]]));
    this.#rotate(null);
  }

  /** One stage back: what signed before signs again; or the next root counts no more. Durable when it returns. */
  abortStage(): void {
    const rotation = this.#rotation;
    if (!rotation) throw new IdentityError('bad-stage', 'no rotation of the authority is under way');
    if (rotation.stage === 'sign') return this.#rotate({ ...rotation, stage: 'add', changedMs: this.#deps.clock.wallMs() });
    this.#retire(rotation.next.roots);
    this.#rotate(null);
  }

  get encrypted(): boolean {
    return this.#deps.readFiles !== null || this.#deps.sealer.encrypts;
  }

  /** What a person should know; '' where all is well. */
  get problem(): string {
    if (this.#filesProblem !== '') return this.#filesProblem;
    if (this.#wantedTrustDomain === this.#main.trustDomain) return '';
    return `the Mesh document names the trust domain ${this.#wantedTrustDomain}; certificates were issued in ${this.#main.trustDomain}, which stays`;
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** From now on the trust domain stays: something was handed out that depends on it. */
  markUsed(): void {
    if (this.#used) return;
    this.#used = true;
    this.#deps.store.putRecords(namespace, new Map([['use', { trustDomain: this.#main.trustDomain }]]));
  }

  followMesh(trustDomain: string | null): void {
    this.#wantedTrustDomain = trustDomain ?? defaultTrustDomain;
    if (this.#wantedTrustDomain === this.#main.trustDomain) return;
    if (this.#used) return this.#deps.log.error('the trust domain cannot be changed any more', { problem: this.problem });
    try {
      this.#main = this.#deps.readFiles ? this.#fromFiles() : this.#generate();
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
      this.#main = next;
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
    this.#noteBundle();
    for (const listener of this.#listeners) listener();
  }

  #rotate(rotation: Rotation | null): void {
    this.#rotation = rotation;
    this.#deps.store.putRecords(namespace, new Map([['rotation', rotation && rotationRecord(rotation, this.#deps.sealer)]]));
    this.#changed();
    this.#deps.store.flushRecords();
    this.#deps.log.info('the authority rolls', { stage: rotation?.stage ?? 'none', signs: this.authority.issuer.fingerprint256, roots: this.authority.roots.length });
  }

  #readRotation(): void {
    const record = this.#stored('rotation');
    if (record) {
      this.#rotation = readRotation(record, this.#deps.sealer, () => this.#nextFromFiles());
      this.#renewWithinMs = this.#rotation.windowMs;
      if (this.#deps.sealer.encrypts) this.#deps.store.putRecords(namespace, new Map([['rotation', rotationRecord(this.#rotation, this.#deps.sealer)]]));
    }
    const { roots } = this.#stored('retired') ?? {};
    if (!Array.isArray(roots)) return;
    for (const one of roots as readonly { readonly certificate?: unknown; readonly untilMs?: unknown }[]) {
      const root = typeof one.certificate === 'string' ? readCertificate(one.certificate) : null;
      if (root && typeof one.untilMs === 'number') this.#retired = [...this.#retired, { root, untilMs: one.untilMs }];
    }
  }

  /** Certificates of these roots may be renewed for as long as any could. */
  #retire(roots: readonly X509Certificate[]): void {
    const nowMs = this.#deps.clock.wallMs();
    const untilMs = nowMs + svidLifeMs + this.#deps.recoveryMs;
    this.#retired = [...this.#retired.filter((one) => one.untilMs > nowMs), ...roots.map((root) => ({ root, untilMs }))].slice(-retiredMax);
    this.#deps.store.putRecords(namespace, new Map([['retired', { roots: this.#retired.map((one) => ({ certificate: certificatePem(one.root.raw), untilMs: one.untilMs })) }]]));
  }

  #noteBundle(): void {
    const { roots, issuer } = this.authority;
    const digest = `${bundleDigest(roots.map(({ raw }) => raw))} ${issuer.fingerprint256}`;
    const known = this.#stored('bundle');
    this.#sequence = typeof known?.['sequence'] === 'number' ? known['sequence'] : 0;
    if (known?.['digest'] === digest) return;
    this.#sequence++;
    this.#deps.store.putRecords(namespace, new Map([['bundle', { digest, sequence: this.#sequence }]]));
  }

  #nextFromFiles(): SigningAuthority | null {
    const files = this.#deps.readNextFiles?.();
    if (!files) return null;
    const made = authorityFromFiles({ ...files, trustDomain: this.#trustDomain(), nowMs: this.#deps.clock.wallMs() });
    if (typeof made === 'string') throw new IdentityError('bad-authority', `the next authority: ${made}`);
    return made;
  }

  #trustDomain(): string {
    return this.#used ? textOf(this.#stored('use'), 'trustDomain') : this.#wantedTrustDomain;
  }

  #fromFiles(): SigningAuthority {
    const files = this.#deps.readFiles?.() ?? { certificates: '', key: '' };
    const made = authorityFromFiles({ ...files, trustDomain: this.#trustDomain(), nowMs: this.#deps.clock.wallMs() });
    // After a roll the next files sign, until they are moved to the place of the first ones.
    const promoted = textOf(this.#stored('promoted'), 'issuer');
    if (promoted !== '' && (typeof made === 'string' || made.issuer.fingerprint256 !== promoted)) {
      const next = this.#nextFromFiles();
      if (next?.issuer.fingerprint256 === promoted) return next;
    }
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
    // Was kept in the open, or with the key before, until this one was given: no longer.
    if (this.#deps.sealer.encrypts && !this.#deps.sealer.isCurrent(sealed)) this.#keep(authority);
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

/** The roots of one authority, and those of another that are not among them. */
function withRoots(authority: SigningAuthority, others: readonly X509Certificate[]): SigningAuthority {
  const more = others.filter((root) => !authority.roots.some(({ raw }) => raw.equals(root.raw)));
  return more.length === 0 ? authority : { ...authority, roots: [...authority.roots, ...more] };
}

function textOf(record: JsonObject | null, name: string): string {
  const value = record?.[name];
  return typeof value === 'string' ? value : '';
}
