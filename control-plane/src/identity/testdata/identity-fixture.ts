import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Subject } from '@remora/core/subject';
import { seededRandom } from '@remora/core/random';
import { createCertificateRequest } from '@remora/identity/certificate-request';
import { parseJoinToken } from '@remora/identity/join-token';
import { signRenewal } from '@remora/identity/renewal-proof';
import { formatSpiffeId, subjectSpiffeId } from '@remora/identity/spiffe-id';
import { ManualTimers } from '@remora/testing/manual-timers';
import { createProcessLog } from '../../process-log.ts';
import { createMemoryStore } from '../../store/memory-store.ts';
import type { Store } from '../../store/store.ts';
import type { AuthorityFiles } from '../authority-keeper.ts';
import { createControlPlaneIdentity, type ControlPlaneIdentity } from '../control-plane-identity.ts';
import type { EnrolmentRefusal, IssuedCredential, RenewQuestion } from '../enrolment.ts';
import { createSealer, type Sealer } from '../sealer.ts';

export const orders: Subject = { kind: 'service', name: 'orders' };
export const payments: Subject = { kind: 'service', name: 'payments' };
export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

export interface IdentityFixture {
  readonly identity: ControlPlaneIdentity;
  readonly store: Store;
  readonly time: ManualTimers;
  /** Everything that was logged, as text. */
  readonly lines: string[];
}

export function startIdentity(options: { readonly store?: Store; readonly time?: ManualTimers; readonly sealer?: Sealer; readonly readFiles?: () => AuthorityFiles; readonly readNextFiles?: (() => AuthorityFiles) | null } = {}): IdentityFixture {
  const time = options.time ?? new ManualTimers();
  const store = options.store ?? createMemoryStore({ clock: time.clock });
  const lines: string[] = [];
  const identity = createControlPlaneIdentity({
    store, clock: time.clock, timers: time, random: seededRandom(1), soon: queueMicrotask, recoveryMs: 30 * dayMs,
    log: createProcessLog({ level: 'debug', clock: time.clock, write: (line) => lines.push(line) }),
    sealer: options.sealer ?? createSealer(null), readFiles: options.readFiles ?? null, readNextFiles: options.readNextFiles ?? null,
  });
  return { identity, store, time, lines };
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** A sidecar as far as its certificates go. */
export class Workload {
  readonly subject: Subject;
  readonly nodeId: string;
  key = newKey();
  held: IssuedCredential | null = null;

  constructor(subject: Subject, nodeId: string) {
    this.subject = subject;
    this.nodeId = nodeId;
  }

  request(more: { readonly key?: KeyObject; readonly spiffeId?: string } = {}): Buffer {
    const spiffeId = more.spiffeId ?? formatSpiffeId(subjectSpiffeId('remora.local', this.subject));
    return createCertificateRequest({ key: more.key ?? this.key, spiffeId, nodeId: this.nodeId });
  }

  async join({ identity }: IdentityFixture, token: string, request = this.request()): Promise<IssuedCredential | EnrolmentRefusal> {
    const parsed = parseJoinToken(token);
    if (typeof parsed === 'string') throw new Error(parsed);
    return this.#keep(await identity.enrolment.join({ tokenId: parsed.id, tokenSecret: parsed.secret, nodeId: this.nodeId, subject: this.subject, request }));
  }

  async renew({ identity }: IdentityFixture, change: Partial<RenewQuestion> = {}): Promise<IssuedCredential | EnrolmentRefusal> {
    const key = newKey();
    const request = change.request ?? this.request({ key });
    const answer = await identity.enrolment.renew({ chain: this.held?.chain ?? [], request, proof: signRenewal(request, this.key), ...change });
    if (answer.kind === 'issued') this.key = createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' }));
    return this.#keep(answer);
  }

  /** A renewal as it would be asked for, for a key that nobody keeps. */
  renewal(): RenewQuestion {
    const request = this.request({ key: newKey() });
    return { chain: this.held?.chain ?? [], request, proof: signRenewal(request, this.key) };
  }

  #keep(answer: IssuedCredential | EnrolmentRefusal): IssuedCredential | EnrolmentRefusal {
    if (answer.kind === 'issued') this.held = answer;
    return answer;
  }
}

export function tokenFor({ identity }: IdentityFixture, subject: Subject, more: { readonly ttlMs?: number; readonly uses?: number } = {}): string {
  return identity.createToken({ subject, ttlMs: more.ttlMs ?? hourMs, uses: more.uses ?? 1, author: 'ana' }).token;
}
