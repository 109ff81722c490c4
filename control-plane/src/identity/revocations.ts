import { randomBytes } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import { svidLifeMs } from '@remora/identity/certificate-profile';
import { isRevoked, revokedMax, type RevocationFacts, type RevocationQuestion } from '@remora/identity/revocation-facts';
import type { Store } from '../store/store.ts';
import { IdentityError } from './identity-error.ts';

/** Everything that was issued to one instance, or to all of a service, up to a moment. */
export interface Revocation {
  readonly id: string;
  /** `service/orders`. */
  readonly subject: string;
  /** '' for every instance. */
  readonly nodeId: string;
  readonly reason: string;
  readonly author: string;
  readonly revokedMs: number;
  /** When the last certificate that it is about has ended: sidecars need it until then. */
  readonly endsMs: number;
  /** Until then such a certificate could be renewed. */
  readonly keepUntilMs: number;
}

export interface RevocationDeps {
  readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly recoveryMs: number;
}

const namespace = 'identity.revocations';
const sweepEveryMs = 600_000;

/** What is revoked: durable before anybody is answered, forgotten when the certificates that it is about can be neither used nor renewed. At most 1,000. */
export class Revocations {
  readonly #deps: RevocationDeps;
  readonly #all = new Map<string, Revocation>();
  readonly #listeners = new Set<() => void>();
  readonly #timer: Timer;
  #facts: Pick<RevocationFacts, 'serials' | 'issuedUntilMs'> | null = null;

  constructor(deps: RevocationDeps) {
    this.#deps = deps;
    for (const [id, record] of deps.store.records(namespace)) {
      const revocation = readRevocation(id, record);
      if (revocation) this.#all.set(id, revocation);
    }
    this.#timer = deps.timers.every(sweepEveryMs, () => this.#sweep());
  }

  /** Newest first. */
  list(): readonly Revocation[] {
    return [...this.#all.values()].sort((a, b) => b.revokedMs - a.revokedMs || (a.id < b.id ? -1 : 1));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Durable when it returns. One of the same instance before it is replaced. Throws IdentityError `too-many-revocations`. */
  revoke(spec: { readonly subject: string; readonly nodeId: string; readonly reason: string; readonly author: string }): Revocation {
    this.#sweep();
    const before = [...this.#all.values()].find(({ subject, nodeId }) => subject === spec.subject && nodeId === spec.nodeId);
    if (!before && this.#all.size >= revokedMax) throw new IdentityError('too-many-revocations', `there are ${revokedMax} revocations already: revoke the service as a whole, or roll the authority (\`remora ca rotate\`)`);
    const revokedMs = this.#deps.clock.wallMs();
    const endsMs = revokedMs + svidLifeMs;
    const revocation: Revocation = { ...spec, id: before?.id ?? randomBytes(6).toString('hex'), revokedMs, endsMs, keepUntilMs: endsMs + this.#deps.recoveryMs };
    this.#all.set(revocation.id, revocation);
    const { id, ...facts } = revocation;
    this.#keep(new Map([[id, { ...facts }]]));
    return revocation;
  }

  /** It was a mistake: its certificates are good again. False where there is no such revocation. */
  lift(id: string): boolean {
    if (!this.#all.delete(id)) return false;
    this.#keep(new Map([[id, null]]));
    return true;
  }

  isRevoked(question: RevocationQuestion): boolean {
    return this.#all.size > 0 && isRevoked({ trustDomain: '', ...this.#everything() }, question);
  }

  /** When an instance was revoked last, by itself or with its service; 0 where it never was. */
  lastOf(subject: string, nodeId: string): number {
    const { issuedUntilMs } = this.#everything();
    return Math.max(issuedUntilMs.get(`${subject}/${nodeId}`) ?? 0, issuedUntilMs.get(`${subject}/`) ?? 0);
  }

  /** What sidecars need: of certificates that can still be used. */
  current(): Pick<RevocationFacts, 'serials' | 'issuedUntilMs'> {
    const nowMs = this.#deps.clock.wallMs();
    return { serials: new Set(), issuedUntilMs: momentsOf([...this.#all.values()].filter(({ endsMs }) => endsMs > nowMs)) };
  }

  close(): void {
    this.#timer.cancel();
    this.#listeners.clear();
  }

  #everything(): Pick<RevocationFacts, 'serials' | 'issuedUntilMs'> {
    this.#facts ??= { serials: new Set(), issuedUntilMs: momentsOf([...this.#all.values()]) };
    return this.#facts;
  }

  #keep(records: ReadonlyMap<string, JsonObject | null>): void {
    this.#deps.store.putRecords(namespace, records);
    this.#deps.store.flushRecords();
    this.#changed();
  }

  #changed(): void {
    this.#facts = null;
    for (const listener of this.#listeners) listener();
  }

  #sweep(): void {
    const nowMs = this.#deps.clock.wallMs();
    const gone = [...this.#all.values()].filter(({ keepUntilMs }) => keepUntilMs <= nowMs);
    for (const { id } of gone) this.#all.delete(id);
    if (gone.length > 0) this.#deps.store.putRecords(namespace, new Map(gone.map(({ id }) => [id, null])));
    // Those that ended go from what sidecars hold, too.
    if (this.#all.size > 0 || gone.length > 0) this.#changed();
  }
}

function momentsOf(revocations: readonly Revocation[]): ReadonlyMap<string, number> {
  return new Map(revocations.map(({ subject, nodeId, revokedMs }) => [`${subject}/${nodeId}`, revokedMs]));
}

function readRevocation(id: string, record: JsonObject): Revocation | null {
  const { subject, nodeId, reason, author, revokedMs, endsMs, keepUntilMs } = record;
  if (typeof subject !== 'string' || typeof nodeId !== 'string' || typeof revokedMs !== 'number' || typeof endsMs !== 'number' || typeof keepUntilMs !== 'number') return null;
  return { id, subject, nodeId, reason: typeof reason === 'string' ? reason : '', author: typeof author === 'string' ? author : '', revokedMs, endsMs, keepUntilMs };
}
