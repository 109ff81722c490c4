import { createPrivateKey, generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Subject } from '@remora/core/subject';
import { createCertificateRequest } from '@remora/identity/certificate-request';
import { isPinned, type JoinToken } from '@remora/identity/join-token';
import { renewalTimeMs } from '@remora/identity/renewal-time';
import { signRenewal } from '@remora/identity/renewal-proof';
import { formatSpiffeId, subjectSpiffeId } from '@remora/identity/spiffe-id';
import { rootDigest, type TrustBundleFacts } from '@remora/identity/trust-bundle-facts';
import { Backoff } from '../config/backoff.ts';
import type { Log } from '../telemetry/log.ts';
import type { EnrolmentOutcome, EnrolmentPort } from './enrolment-port.ts';
import { holdIdentity, type HeldIdentity, type IdentityParts } from './held-identity.ts';
import { readRoots } from './read-roots.ts';
import type { IdentityDisk, StoredIdentity } from './identity-disk.ts';

export interface IdentityKeeperDeps {
  readonly subject: Subject;
  readonly nodeId: string;
  /** null: only what is on the disk. */
  readonly token: JoinToken | null;
  readonly disk: IdentityDisk;
  readonly enrolment: EnrolmentPort;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
}

export interface IdentityStatus {
  readonly spiffeId: string;
  /** Unix ms; 0 where there is no certificate. */
  readonly endsMs: number;
  /** SHA-256 of the certificate; '' where there is none. */
  readonly fingerprint: string;
  /** Since when it is held, by this process; 0 where there is none. */
  readonly sinceMs: number;
  /** Unix ms; 0 where there is no certificate. */
  readonly fromMs: number;
  readonly renewAtMs: number;
  /** SHA-256 (hex) of the root that the certificate leads to, '' where there is none; and of all that count, with their ends. */
  readonly issuerRoot: string;
  readonly roots: readonly { readonly digest: string; readonly endsMs: number }[];
  /** What stands in the way; '' where nothing does. */
  readonly problem: string;
  /** Whether the disk has what is held. */
  readonly persisted: boolean;
}

/** The wall clock is looked at at least this often: it may step, and a machine may sleep. */
const lookEveryMs = 60_000;
/** Tries after failures: soon at first, a minute apart later; a refusal waits longer, for only people can change it. */
const backoffMs = { baseMs: 500, capMs: 60_000 } as const;
const refusedCapMs = 10 * 60_000;
/** How often a token of another authority is tried before the certificate on the disk is all there is. */
const joinFirstTries = 10;
/** Where our own root does not count any more, others refuse us: then the renewal is spread over this only. */
const distrustedWithinMs = 10_000;

/**
 * Keeps this instance's certificate: from the disk, for a join token, renewed at half its life. Never gives up, and nothing on
 * the request path waits for it. A machine that slept past the end of its certificate renews it as always, as long as the
 * control plane allows (`recoverUntilMs`); later it joins anew, where it has a token.
 */
export class IdentityKeeper {
  readonly #deps: IdentityKeeperDeps;
  readonly #backoff: Backoff;
  readonly #listeners = new Set<(held: HeldIdentity) => void>();
  readonly #trustListeners = new Set<(held: HeldIdentity) => void>();
  #bundle: TrustBundleFacts | null = null;
  /** The root that others than ours were issued under, when that was heard: the renewal is drawn once. */
  #movedTo = '';
  #stored: StoredIdentity = { held: null, joining: null };
  #held: HeldIdentity | null = null;
  #renewAtMs = 0;
  #sinceMs = 0;
  #problem = 'not asked for yet';
  #persisted = true;
  /** Tries left to join although there is a certificate: the token is of another authority. */
  #joinFirst = 0;
  #timer: Timer | null = null;
  #trying = false;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(deps: IdentityKeeperDeps) {
    this.#deps = deps;
    this.#backoff = new Backoff({ random: deps.random, ...backoffMs });
  }

  /** Good at this moment, or null. */
  get current(): HeldIdentity | null {
    return this.#held && this.#held.endsMs > this.#deps.clock.wallMs() ? this.#held : null;
  }

  get status(): IdentityStatus {
    const { subject } = this.#deps;
    const trustDomain = this.#held?.trustDomain ?? this.#deps.token?.trustDomain ?? '';
    const roots = (this.#held?.roots ?? []).map(({ raw, validToDate }) => ({ digest: rootDigest(raw), endsMs: validToDate.getTime() }));
    const facts = { fromMs: this.#held?.fromMs ?? 0, renewAtMs: this.#held ? this.#renewAtMs : 0, issuerRoot: this.#held ? rootDigest(this.#held.root.raw) : '', roots };
    return { ...facts, spiffeId: trustDomain === '' ? '' : formatSpiffeId(subjectSpiffeId(trustDomain, subject)), endsMs: this.#held?.endsMs ?? 0, fingerprint: this.#held?.chain[0]?.fingerprint256 ?? '', sinceMs: this.#sinceMs, problem: this.#problem, persisted: this.#persisted };
  }

  /** Told of each certificate that is good, the one from the disk too; answers how to stop. */
  onChange(listener: (held: HeldIdentity) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Told of each change of the roots that count, without a new certificate; answers how to stop. */
  onTrust(listener: (held: HeldIdentity) => void): () => void {
    this.#trustListeners.add(listener);
    return () => void this.#trustListeners.delete(listener);
  }

  /**
   * The roots that count from now on, from the control plane: they came over a connection on which both sides had proved who they are, which is as much as is
   * known of those that came with the certificate. Kept on the disk. Where certificates are issued under another root than ours, ours is renewed within the time that
   * the bundle says. A sentence says why a bundle is not taken; what was before stays then. One from the disk may be older than the certificate: it is taken only
   * where it has the root of ours.
   */
  useBundle(bundle: TrustBundleFacts, from: 'stream' | 'disk'): string | null {
    const held = this.#held;
    const parts = this.#stored.held;
    // Without a certificate nobody says anything over an authenticated connection; the roots come with it.
    if (!held || !parts) return null;
    if (bundle.trustDomain !== held.trustDomain) return `the bundle is of the trust domain ${bundle.trustDomain}, and the certificate of ${held.trustDomain}`;
    const roots = readRoots(bundle.roots, this.#deps.clock.wallMs());
    if (typeof roots === 'string') return roots;
    const ownCounts = roots.some(({ raw }) => raw.equals(held.root.raw));
    const known = sameRoots(roots, held.roots);
    if (from === 'disk' && !ownCounts && !known) return null;
    this.#bundle = bundle;
    this.#moveTo(bundle, ownCounts);
    if (known) return null;
    this.#held = { ...held, roots };
    const { ownRoot: _, ...rest } = parts;
    void this.#keep({ ...this.#stored, held: { ...rest, roots: roots.map(({ raw }) => raw), ...(!ownCounts && { ownRoot: held.root.raw }) } });
    this.#deps.log.info('the roots of the trust domain changed', { roots: roots.map(({ fingerprint256 }) => fingerprint256.slice(0, 23)), ownCounts });
    for (const listener of this.#trustListeners) listener(this.#held);
    return null;
  }

  /** The control plane does not take the certificate any more (it was revoked): another one is asked for now, by a join token where there is one. */
  doubt(): void {
    if (this.#trying || this.#closed || this.#renewAtMs === 0) return;
    this.#renewAtMs = 0;
    this.#timer?.cancel();
    this.#timer = this.#deps.timers.after(0, () => void this.#look());
  }

  /** Reads the disk, then looks after what is there for as long as the process lives. */
  async start(): Promise<void> {
    await this.load();
    await this.run();
  }

  /** What the disk has, and nothing more: it may be used before there is any connection. */
  async load(): Promise<void> {
    const { disk, log, token, clock } = this.#deps;
    const { stored, problem } = await disk.load();
    this.#stored = stored;
    if (problem !== '') log.error('the identity on the disk cannot be used', { cause: problem });
    if (stored.held) {
      const held = holdIdentity(stored.held, { ...this.#deps, nowMs: clock.wallMs() });
      if (typeof held === 'string') log.error('the identity on the disk cannot be used', { cause: held });
      else this.#hold(held);
      if (token && this.#held && stored.held.joinedPin !== token.pin && !namesRootOf(token, this.#held)) {
        log.info('the join token names another authority than that of the identity on the disk; it is tried first');
        this.#joinFirst = joinFirstTries;
      }
    }
  }

  /** After `load`: looks after the certificate for as long as the process lives. Resolves after the first look. */
  async run(): Promise<void> {
    await this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#listeners.clear();
    this.#trustListeners.clear();
  }

  /** A new root signs: our turn comes at a random moment of the time that is given for it. */
  #moveTo({ signs, renewWithinMs }: TrustBundleFacts, ownCounts: boolean): void {
    const held = this.#held;
    if (!held || signs === '') return;
    if (rootDigest(held.root.raw) === signs) {
      this.#movedTo = '';
      return;
    }
    const turn = `${signs} ${ownCounts}`;
    if (this.#movedTo === turn) return;
    this.#movedTo = turn;
    const { clock, timers, random, log } = this.#deps;
    const waitMs = Math.round((ownCounts ? renewWithinMs : Math.min(renewWithinMs, distrustedWithinMs)) * random.next());
    this.#renewAtMs = Math.min(this.#renewAtMs, clock.wallMs() + waitMs);
    log.info('certificates are issued under another root; this one is renewed', { inMs: waitMs });
    // Where a try is under way it looks again by itself.
    if (!this.#timer || this.#trying) return;
    this.#timer.cancel();
    this.#timer = timers.after(Math.min(waitMs, lookEveryMs), () => void this.#look());
  }

  async #look(): Promise<void> {
    if (this.#closed) return;
    const nowMs = this.#deps.clock.wallMs();
    const due = this.#held === null || nowMs >= this.#renewAtMs || this.#joinFirst > 0;
    this.#trying = true;
    const tried = due ? await this.#tryNow() : lookEveryMs;
    this.#trying = false;
    if (this.#closed) return;
    const untilMs = this.#renewAtMs - this.#deps.clock.wallMs();
    const waitMs = untilMs > 0 ? Math.min(tried, untilMs) : tried;
    this.#timer = this.#deps.timers.after(waitMs, () => void this.#look());
  }

  /** Answers how long to wait then. */
  async #tryNow(): Promise<number> {
    const outcome = await this.#obtain();
    if (outcome.kind === 'issued') {
      this.#backoff.reset();
      return lookEveryMs;
    }
    const cause = outcome.kind === 'refused' ? `${outcome.code}: ${outcome.message}` : outcome.cause;
    const { log } = this.#deps;
    // Once for each cause: what is tried again says nothing new.
    log[this.#problem === cause ? 'debug' : this.current ? 'warn' : 'error']('no certificate from the control plane', { cause, usable: this.current !== null });
    this.#problem = cause;
    const waitMs = this.#backoff.next();
    const final = outcome.kind === 'refused' && !outcome.retry;
    return final ? refusedCapMs * (0.5 + 0.5 * this.#deps.random.next()) : waitMs;
  }

  /** Renews where there is something to renew; joins where there is not, or where renewing was refused. */
  async #obtain(): Promise<EnrolmentOutcome> {
    const { token, clock } = this.#deps;
    const held = this.#held;
    if (token !== null && this.#joinFirst > 0) {
      const joined = await this.#join(token);
      // A token that is over, or of an authority that is gone, must not cost the certificate that is there.
      this.#joinFirst = joined.kind === 'unreachable' || (joined.kind === 'refused' && joined.retry) ? this.#joinFirst - 1 : 0;
      if (joined.kind === 'issued' || (this.current && clock.wallMs() < this.#renewAtMs)) return joined;
    }
    const renewed = held && clock.wallMs() < held.recoverUntilMs ? await this.#renew(held) : null;
    if (renewed && (renewed.kind !== 'refused' || renewed.retry || token === null)) return renewed;
    if (token === null) return { kind: 'refused', code: 'no-token', message: held ? 'the certificate ended too long ago to be renewed, and there is no join token' : 'there is no certificate on the disk, and no join token', retry: false };
    const joined = await this.#join(token);
    return joined.kind === 'issued' ? joined : (renewed ?? joined);
  }

  async #renew(held: HeldIdentity): Promise<EnrolmentOutcome> {
    const { enrolment, nodeId } = this.#deps;
    const key = newKey();
    const request = createCertificateRequest({ key, spiffeId: held.spiffeId, nodeId });
    return this.#take(await enrolment.renew({ ...held, request, proof: signRenewal(request, held.key) }), key, null);
  }

  async #join(token: JoinToken): Promise<EnrolmentOutcome> {
    const { enrolment, subject, nodeId } = this.#deps;
    const key = await this.#joiningKey();
    const request = createCertificateRequest({ key, spiffeId: formatSpiffeId(subjectSpiffeId(token.trustDomain, subject)), nodeId });
    return this.#take(await enrolment.join({ token, nodeId, subject, request }), key, token.pin);
  }

  /** Believes nothing that does not hold together. */
  async #take(outcome: EnrolmentOutcome, key: KeyObject, pin: string | null): Promise<EnrolmentOutcome> {
    if (outcome.kind !== 'issued') return outcome;
    const { clock, log } = this.#deps;
    const joinedPin = pin ?? this.#stored.held?.joinedPin;
    const parts: IdentityParts = { key: exportKey(key), chain: outcome.chain, roots: outcome.roots, trustDomain: outcome.trustDomain, recoverUntilMs: outcome.recoverUntilMs, ...(joinedPin !== undefined && { joinedPin }) };
    const held = holdIdentity(parts, { ...this.#deps, nowMs: clock.wallMs() });
    const problem = typeof held === 'string' ? held : pin !== null && !held.roots.some(({ raw }) => isPinned(pin, raw)) ? 'the root that the join token names is not among the roots' : held.endsMs <= clock.wallMs() ? 'it has ended already; is a clock wrong?' : null;
    if (problem !== null || typeof held === 'string') return { kind: 'refused', code: 'bad-certificate', message: `what the control plane issued cannot be used: ${problem ?? ''}`, retry: true };
    await this.#keep({ held: parts, joining: null });
    log.info('has a new certificate', { id: held.spiffeId, ends: new Date(held.endsMs).toISOString() });
    this.#hold(held);
    // It may have been issued before the bundle that came meanwhile; one of another authority says nothing about it.
    this.#movedTo = '';
    if (this.#bundle) this.useBundle(this.#bundle, 'disk');
    return outcome;
  }

  #hold(held: HeldIdentity): void {
    this.#held = held;
    this.#sinceMs = this.#deps.clock.wallMs();
    this.#renewAtMs = renewalTimeMs({ fromMs: held.fromMs, toMs: held.endsMs }, this.#deps.random);
    this.#problem = '';
    if (this.current) for (const listener of this.#listeners) listener(held);
  }

  async #joiningKey(): Promise<KeyObject> {
    const { joining } = this.#stored;
    if (joining !== null) {
      try {
        return createPrivateKey({ key: Buffer.from(joining), format: 'der', type: 'pkcs8' });
      } catch {
        this.#deps.log.warn('the key of an earlier join cannot be read; a new one is made');
      }
    }
    const key = newKey();
    await this.#keep({ held: this.#stored.held, joining: exportKey(key) });
    return key;
  }

  /** A disk that does not take it stands in nobody's way: what is held serves as long as the process lives. */
  async #keep(stored: StoredIdentity): Promise<void> {
    this.#stored = stored;
    // One after the other, and always the newest.
    const written = this.#writing.then(() => this.#deps.disk.write(this.#stored));
    this.#writing = written.catch(() => {});
    try {
      await written;
      this.#persisted = true;
    } catch (error) {
      this.#persisted = false;
      this.#deps.log.error('the identity cannot be kept on the disk', { cause: error instanceof Error ? error.message : 'unknown error' });
    }
  }
}

function sameRoots(a: readonly X509Certificate[], b: readonly X509Certificate[]): boolean {
  return a.length === b.length && a.every(({ raw }) => b.some((other) => other.raw.equals(raw)));
}

function namesRootOf({ trustDomain, pin }: JoinToken, held: HeldIdentity): boolean {
  return trustDomain === held.trustDomain && held.roots.some(({ raw }) => isPinned(pin, raw));
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

function exportKey(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' });
}
