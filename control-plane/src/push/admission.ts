import type { Subject } from '@remora/core/subject';
import { suggest } from '@remora/core/suggest';
import { compareVersions, formatVersion, type Version } from '@remora/core/version';
import type { NodeIdentity } from '@remora/identity/node-identity';
import type { Hello } from '@remora/proto/gen/remora/push/v1/push';
import type { DesiredContent } from './desired-content.ts';
import { encodeMessage, type ControlBody } from './encoded-messages.ts';
import type { PushLimits } from './push-limits.ts';
import { countOne, type PushMetrics } from './push-metrics.ts';
import { readHello, type SidecarFacts } from './sidecar-facts.ts';
import type { SidecarSession } from './sidecar-session.ts';
import type { QueryStream } from './sidecar-stream.ts';
import type { SyncConnection } from './sync-connection.ts';

export interface AdmissionDeps {
  readonly identity: NodeIdentity;
  readonly limits: PushLimits;
  readonly metrics: PushMetrics;
  readonly content: DesiredContent;
  readonly connected: ReadonlyMap<string, SyncConnection>;
  readonly nowMs: () => number;
  /** A sidecar knows a higher version than this control plane. */
  readonly onBehind: (version: Version) => void;
}

/** Decides who may connect and stay, and tells those who may not why, and when to come back. */
export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** Whom a stream is of; null: it was turned away. An older stream of the same node is ended. */
  admit(connection: SyncConnection, hello: Hello): SidecarFacts | null {
    const { identity, limits, connected } = this.#deps;
    const facts = readHello(hello);
    if (typeof facts === 'string') return this.#reject(connection, 'bad-hello', facts, 60_000);
    const { nodeId, subject } = facts;
    const verdict = identity.verify(connection.stream.peer, { nodeId, subject });
    if (!verdict.ok) return this.#reject(connection, rejectionOf(verdict.code), verdict.reason, 30_000);
    const older = connected.get(nodeId);
    if (older?.session && older.session.facts.incarnation > facts.incarnation) {
      return this.#reject(connection, 'older-incarnation', `Node ${nodeId} is connected with a newer incarnation from ${older.stream.peer.address}. Two sidecars may not share a node id.`, 30_000);
    }
    if (!older && connected.size >= limits.sidecarsMax) return this.#reject(connection, 'too-many-sidecars', `This control plane serves at most ${limits.sidecarsMax} sidecars.`, 30_000);
    if (older) this.#reject(older, 'replaced', `A newer stream of node ${nodeId} came from ${connection.stream.peer.address}.`, 30_000);
    this.#checkIdentityLater(connection);
    return facts;
  }

  /** Once there is something to compare it with; false: it was turned away. */
  mayStay(connection: SyncConnection, { facts, subject }: SidecarSession, stateEpoch: number): boolean {
    const { content, onBehind } = this.#deps;
    if (compareVersions(facts.config.version, content.version) > 0 || facts.state.version.epoch > stateEpoch) {
      onBehind(facts.config.version);
      this.#shed(connection, `The sidecar has seen ${formatVersion(facts.config.version)}, this control plane is at ${formatVersion(content.version)}.`);
      return false;
    }
    if (!content.of(subject) && facts.config.hash === '') {
      this.#reject(connection, `unknown-${facts.subject.kind}`, this.#unknownSubject(facts.subject), 2_000);
      return false;
    }
    return true;
  }

  /** Certificates end, and roots go, while streams live on: who they were once is not who they are. False: it was turned away. */
  isStillBelieved(connection: SyncConnection, { facts: { nodeId, subject } }: SidecarSession): boolean {
    if (this.#deps.nowMs() < connection.nextIdentityCheckAtMs) return true;
    this.#checkIdentityLater(connection);
    const verdict = this.#deps.identity.verify(connection.stream.peer, { nodeId, subject });
    if (!verdict.ok) this.#reject(connection, rejectionOf(verdict.code), verdict.reason, 1_000);
    return verdict.ok;
  }

  /** Why a Queries stream may not stand beside the Sync stream of this node; null: it may. */
  mayAsk(stream: QueryStream, nodeId: string, incarnation: number): string | null {
    const session = this.#deps.connected.get(nodeId)?.session;
    if (!session || session.facts.incarnation !== incarnation) return `Node ${nodeId.slice(0, 253)} has no open Sync stream of this incarnation.`;
    const verdict = this.#deps.identity.verify(stream.peer, { nodeId, subject: session.facts.subject });
    return verdict.ok ? null : verdict.reason;
  }

  #checkIdentityLater(connection: SyncConnection): void {
    connection.nextIdentityCheckAtMs = this.#deps.nowMs() + this.#deps.limits.identityCheckEveryMs;
  }

  #reject(connection: SyncConnection, code: string, message: string, retryAfterMs: number): null {
    countOne(this.#deps.metrics.rejectionsTotal, code);
    this.#farewell(connection, { $case: 'rejected', value: { code, message, retry: true, retryAfterMs: BigInt(retryAfterMs) } });
    return null;
  }

  #shed(connection: SyncConnection, reason: string): void {
    countOne(this.#deps.metrics.rejectionsTotal, 'shed');
    this.#farewell(connection, { $case: 'shed', value: { retryAfterMs: 1_000n, otherAddresses: [], reason } });
  }

  #farewell(connection: SyncConnection, body: ControlBody): void {
    const bytes = encodeMessage(body);
    this.#deps.metrics.messagesSentTotal++;
    this.#deps.metrics.bytesSentTotal += bytes.length;
    connection.stream.send(bytes);
    connection.end();
  }

  #unknownSubject(subject: Subject): string {
    const kind = subject.kind === 'service' ? 'Service' : 'Gateway';
    const prefix = `${subject.kind}/`;
    const names = [...this.#deps.content.subjects].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    const near = suggest(subject.name, names);
    return `There is no ${kind} named "${subject.name}"${near === undefined ? '.' : `; did you mean "${near}"?`}`;
  }
}

/** A sidecar that was revoked can do something about it: ask for another certificate with a new token. */
function rejectionOf(code: string | undefined): string {
  return code === 'certificate-revoked' ? code : 'identity';
}
