import type { Clock } from '@remora/core/clock';
import { rootDigest } from '@remora/identity/trust-bundle-facts';
import type { ProcessLog } from '../process-log.ts';
import type { SidecarStatus } from '../push/push-hub.ts';
import type { AuthorityKeeper } from './authority-keeper.ts';
import { bundleItem } from './identity-items.ts';
import { IdentityError } from './identity-error.ts';
import type { JoinTokens } from './join-tokens.ts';
import type { NodeRecord, NodeRecords } from './node-records.ts';
import type { Revocations } from './revocations.ts';

/** An instance that stands in the way of the next stage. */
export interface Laggard {
  readonly nodeId: string;
  readonly subject: string;
  readonly connected: boolean;
  /** ISO; '' where it was never seen. */
  readonly lastSeen: string;
  /** `bundle`: it does not hold the roots that count now. `certificate`: its certificate is of the root that goes. */
  readonly lacks: 'bundle' | 'certificate';
}

export interface RotationStatus {
  readonly stage: 'none' | 'add' | 'sign';
  /** Unix ms; 0 where nothing rolls. */
  readonly startedMs: number;
  readonly changedMs: number;
  readonly windowMs: number;
  /** Instances whose certificate is good now. */
  readonly total: number;
  readonly holdBundle: number;
  /** Of them, with a certificate under the root that signs now. */
  readonly ofSigner: number;
  /** At most 1,000, by node id; there are `laggardCount`. */
  readonly laggards: readonly Laggard[];
  readonly laggardCount: number;
  /** Join tokens that can be used and name only the root that goes: after `retire` they let nobody in. */
  readonly oldTokens: number;
  /** SHA-256 (hex). */
  readonly signs: string;
  readonly roots: readonly string[];
}

const laggardsMax = 1_000;

/**
 * Rolls the authority in stages, and lets none begin that would cut somebody off: the next root signs when every instance holds it, and the old one goes when every
 * certificate is of the new one. What an instance holds is known from its acknowledgement of the state lane; what its certificate is of, from what was issued.
 */
export class CaRotation {
  readonly #deps: { readonly keeper: AuthorityKeeper; readonly nodes: NodeRecords; readonly tokens: JoinTokens; readonly revocations: Revocations; readonly clock: Clock; readonly log: ProcessLog };
  #sidecars: (nodeId: string) => SidecarStatus | null = () => null;

  constructor(deps: { readonly keeper: AuthorityKeeper; readonly nodes: NodeRecords; readonly tokens: JoinTokens; readonly revocations: Revocations; readonly clock: Clock; readonly log: ProcessLog }) {
    this.#deps = deps;
  }

  /** Where to ask what sidecars hold. */
  observe(sidecars: (nodeId: string) => SidecarStatus | null): void {
    this.#sidecars = sidecars;
  }

  status(): RotationStatus {
    const { keeper, tokens } = this.#deps;
    const { rotation, authority } = keeper;
    const signs = authority.roots[0] ? rootDigest(authority.roots[0].raw) : '';
    const bundle = bundleItem(keeper).hash;
    const nodes = this.#counted();
    const laggards: Laggard[] = [];
    let holdBundle = 0;
    let ofSigner = 0;
    for (const node of nodes) {
      const sidecar = this.#sidecars(node.nodeId);
      const holds = sidecar?.trustBundle === bundle;
      // Issued is not yet in use: the stream is opened anew with it, when the data threads have it.
      const inUse = !sidecar?.connected || sidecar.certificate === node.serials[0];
      const isOfSigner = inUse && (node.issuer === signs || (node.issuer === '' && rotation?.stage !== 'sign'));
      if (holds) holdBundle++;
      if (isOfSigner) ofSigner++;
      if (!holds || !isOfSigner) laggards.push({ nodeId: node.nodeId, subject: node.subject, connected: sidecar?.connected ?? false, lastSeen: sidecar?.lastSeen ?? '', lacks: holds ? 'certificate' : 'bundle' });
    }
    const oldTokens = rotation ? tokens.list().filter(({ state, createdMs }) => state === 'good' && createdMs < rotation.startedMs).length : 0;
    return {
      stage: rotation?.stage ?? 'none', startedMs: rotation?.startedMs ?? 0, changedMs: rotation?.changedMs ?? 0, windowMs: rotation?.windowMs ?? 0,
      total: nodes.length, holdBundle, ofSigner, laggards: laggards.slice(0, laggardsMax), laggardCount: laggards.length, oldTokens, signs, roots: authority.roots.map(({ raw }) => rootDigest(raw)),
    };
  }

  /** Stage `add`. Throws IdentityError. */
  start(windowMs: number): RotationStatus {
    this.#deps.keeper.startRotation(windowMs);
    return this.status();
  }

  /** The next stage: `sign`, then the end. Answers null and changes nothing where somebody would be cut off and it is not forced. Throws IdentityError. */
  advance(force: boolean): RotationStatus | null {
    return this.#move('next', force, () => this.#deps.keeper.nextStage());
  }

  /** One stage back. As `advance`: certificates of the root that goes are somebody's too. */
  abort(force: boolean): RotationStatus | null {
    return this.#move('abort', force, () => this.#deps.keeper.abortStage());
  }

  #move(way: 'next' | 'abort', force: boolean, move: () => void): RotationStatus | null {
    const { stage, holdBundle, ofSigner, total } = this.status();
    if (stage === 'none') throw new IdentityError('bad-stage', 'no rotation of the authority is under way');
    // Back from `sign` needs nothing: both roots count, for everybody.
    const needsBundle = way === 'next' && holdBundle < total;
    const needsCertificates = (way === 'next' ? stage === 'sign' : stage === 'add') && ofSigner < total;
    if ((needsBundle || needsCertificates) && !force) return null;
    if (needsBundle || needsCertificates) this.#deps.log.warn('the authority rolls on by force', { way, stage, holdBundle, ofSigner, total });
    move();
    return this.status();
  }

  /** Those that have a certificate which others would take. */
  #counted(): readonly NodeRecord[] {
    const { nodes, clock, revocations } = this.#deps;
    const nowMs = clock.wallMs();
    return nodes.list().filter(({ endsMs, issuedMs, nodeId, subject }) => endsMs > nowMs && revocations.lastOf(subject, nodeId) < issuedMs);
  }
}
