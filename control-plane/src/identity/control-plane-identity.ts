import type { X509Certificate } from 'node:crypto';
import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Subject } from '@remora/core/subject';
import { certificatePin, formatJoinToken } from '@remora/identity/join-token';
import { createMtlsIdentity } from '@remora/identity/mtls-identity';
import type { NodeIdentity } from '@remora/identity/node-identity';
import type { ProcessLog } from '../process-log.ts';
import type { Store } from '../store/store.ts';
import { AuthorityKeeper, type AuthorityFiles } from './authority-keeper.ts';
import { CaRotation } from './ca-rotation.ts';
import { Enrolment } from './enrolment.ts';
import { GroupFlush } from './group-flush.ts';
import { identityItems } from './identity-items.ts';
import { JoinTokens, type TokenStatus } from './join-tokens.ts';
import type { StateItemSource } from '../push/state-items.ts';
import { NodeRecords } from './node-records.ts';
import { Revocations } from './revocations.ts';
import type { Sealer } from './sealer.ts';
import { ServerCertificate } from './server-certificate.ts';
import { authorityEndsMs } from './signing-authority.ts';

/** Identity in a control plane: its authority, its join tokens, what it issued, and who its peers are. */
export interface ControlPlaneIdentity {
  readonly keeper: AuthorityKeeper;
  readonly tokens: JoinTokens;
  readonly nodes: NodeRecords;
  readonly enrolment: Enrolment;
  readonly server: ServerCertificate;
  readonly revocations: Revocations;
  readonly rotation: CaRotation;
  /** What sidecars get of it in the state lane. */
  readonly items: readonly StateItemSource[];
  /** For the hub and the telemetry. */
  readonly nodeIdentity: NodeIdentity;
  /** Peers that were turned away, by code. */
  readonly peersRefused: ReadonlyMap<string, number>;
  /** The token in whole, this once. */
  createToken(spec: { readonly subject: Subject; readonly ttlMs: number; readonly uses: number; readonly author: string }): { readonly token: string; readonly status: TokenStatus };
  authorityStatus(): AuthorityStatus;
  close(): void;
}

export interface AuthorityStatus {
  readonly trustDomain: string;
  readonly source: 'generated' | 'files';
  readonly encrypted: boolean;
  readonly issuer: X509Certificate;
  readonly roots: readonly X509Certificate[];
  /** When the first of what signs ends. */
  readonly endsMs: number;
  readonly nodes: number;
  /** '' where all is well. */
  readonly problem: string;
}

export interface ControlPlaneIdentityDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly soon: (run: () => void) => void;
  readonly log: ProcessLog;
  readonly sealer: Sealer;
  readonly readFiles: (() => AuthorityFiles) | null;
  readonly readNextFiles?: (() => AuthorityFiles) | null;
  readonly recoveryMs: number;
}

/** Throws IdentityError where what is stored or given cannot be used. */
export function createControlPlaneIdentity(deps: ControlPlaneIdentityDeps): ControlPlaneIdentity {
  const { store, clock, log } = deps;
  const keeper = new AuthorityKeeper(deps, meshTrustDomain(store));
  const tokens = new JoinTokens(deps);
  const nodes = new NodeRecords(deps);
  const revocations = new Revocations(deps);
  const enrolment = new Enrolment({ keeper, tokens, nodes, revocations, flush: new GroupFlush(deps), clock, log, recoveryMs: deps.recoveryMs });
  const server = new ServerCertificate({ ...deps, keeper });
  const peersRefused = new Map<string, number>();
  const nodeIdentity = createMtlsIdentity({
    trust: () => {
      const { trustDomain, roots, intermediates } = keeper.authority;
      return { bundle: { trustDomain, roots }, intermediates };
    },
    nowMs: () => clock.wallMs(),
    isRevoked: (certificate) => revocations.isRevoked(certificate),
    onRefused: (code) => peersRefused.set(code, (peersRefused.get(code) ?? 0) + 1),
  });
  return {
    keeper, tokens, nodes, enrolment, server, nodeIdentity, peersRefused, revocations,
    rotation: new CaRotation({ keeper, nodes, tokens, revocations, clock, log }), items: identityItems({ keeper, revocations }),
    createToken(spec) {
      const { trustDomain } = keeper.authority;
      const pin = joinPin(keeper);
      // The trust domain is in the token: from now on it stays.
      keeper.markUsed();
      const { id, secret } = tokens.create(spec);
      const status = tokens.find(id);
      if (pin === '' || !status) throw new Error('invariant: there is a root, and the token that was just made');
      log.info('made a join token', { id, subject: status.subject, uses: status.uses, expires: new Date(status.expiresMs).toISOString(), author: status.author });
      return { token: formatJoinToken({ id, secret, pin, trustDomain }), status };
    },
    authorityStatus() {
      const { trustDomain, source, issuer, roots } = keeper.authority;
      return { trustDomain, source, issuer, roots, encrypted: keeper.encrypted, endsMs: authorityEndsMs(keeper.authority), nodes: nodes.size, problem: keeper.problem };
    },
    close() {
      server.close();
      revocations.close();
      keeper.close();
    },
  };
}

/** The root that the enrolment port shows now; while the authority rolls, the one that it will show later too. */
function joinPin({ serving, rotation }: AuthorityKeeper): string {
  const [now] = serving.roots;
  const [next] = rotation?.next.roots ?? [];
  return [now, next].filter((root) => root !== undefined).map(({ raw }) => certificatePin(raw)).join('~');
}

/** Of the Mesh document as it is stored; null where it says none. */
export function meshTrustDomain(store: Pick<Store, 'documents'>): string | null {
  const value = store.documents().get('Mesh/mesh')?.document['trustDomain'];
  return typeof value === 'string' ? value : null;
}
