import type { SubjectKey } from '@remora/core/subject';
import { mayChoose } from './drain-barrier.ts';
import type { SidecarSession } from './sidecar-session.ts';
import type { SyncConnection } from './sync-connection.ts';

/** A sidecar that an entry concerns, and in which lanes. */
export interface Affected {
  readonly connection: SyncConnection;
  readonly session: SidecarSession;
  readonly config: boolean;
  readonly state: boolean;
}

/** What moved in the state lane: endpoints of services; items of subjects, whose sidecars are asked whether they lack any. */
export interface StateMoves {
  readonly services: ReadonlySet<string>;
  readonly subjects: ReadonlySet<SubjectKey> | 'all';
  readonly isBehind: (session: SidecarSession) => boolean;
}

/** Who is connected: every stream, and those that are admitted by node and by subject. */
export class ConnectedSidecars {
  readonly #streams = new Set<SyncConnection>();
  readonly #byNode = new Map<string, SyncConnection>();
  readonly #bySubject = new Map<SubjectKey, Set<SyncConnection>>();

  /** All streams, those that have not said Hello included. */
  get streams(): ReadonlySet<SyncConnection> {
    return this.#streams;
  }

  /** Admitted ones by node id. */
  get byNode(): ReadonlyMap<string, SyncConnection> {
    return this.#byNode;
  }

  opened(connection: SyncConnection): void {
    this.#streams.add(connection);
  }

  /** In place of an older stream of the same node. */
  admitted(connection: SyncConnection, session: SidecarSession): void {
    this.#byNode.set(session.facts.nodeId, connection);
    const siblings = this.#bySubject.get(session.subject) ?? new Set();
    this.#bySubject.set(session.subject, siblings.add(connection));
  }

  /** The stream is over; its sidecar, if it has one, is still here. */
  closed(connection: SyncConnection): void {
    this.#streams.delete(connection);
  }

  left(connection: SyncConnection, session: SidecarSession): void {
    this.#byNode.delete(session.facts.nodeId);
    const siblings = this.#bySubject.get(session.subject);
    siblings?.delete(connection);
    if (siblings?.size === 0) this.#bySubject.delete(session.subject);
  }

  /** Whom an entry concerns: their subject changed, they see a service that moved, or lack items. `exists`: whether a changed subject is still there. */
  affected(changed: ReadonlySet<SubjectKey>, moves: StateMoves, exists: (subject: SubjectKey) => boolean): Affected[] {
    const { services: moved, subjects, isBehind } = moves;
    const someItems = subjects === 'all' || subjects.size > 0;
    const stateMoved = (session: SidecarSession): boolean =>
      sees(session, moved) || (someItems && (subjects === 'all' || subjects.has(session.subject)) && isBehind(session));
    const affected: Affected[] = [];
    const add = (connection: SyncConnection, config: boolean, state: boolean): void => {
      if (connection.session?.welcomed) affected.push({ connection, session: connection.session, config, state });
    };
    for (const subject of changed) {
      const config = exists(subject);
      for (const connection of this.#bySubject.get(subject) ?? []) add(connection, config, connection.session !== null && stateMoved(connection.session));
    }
    if (moved.size === 0 && !someItems) return affected;
    for (const connection of this.#byNode.values()) {
      if (connection.session && !changed.has(connection.session.subject) && stateMoved(connection.session)) add(connection, false, true);
    }
    return affected;
  }

  /** Those whose endpoints one of these services is among. */
  *seeing(moved: ReadonlySet<string>): Generator<SyncConnection> {
    if (moved.size === 0) return;
    for (const connection of this.#byNode.values()) if (connection.session?.welcomed && sees(connection.session, moved)) yield connection;
  }

  /** Those of these subjects that were welcomed. */
  *of(subjects: readonly SubjectKey[] | 'all'): Generator<SyncConnection> {
    if (subjects === 'all') {
      for (const connection of this.#byNode.values()) if (connection.session?.welcomed) yield connection;
      return;
    }
    for (const subject of subjects) for (const connection of this.#bySubject.get(subject) ?? []) if (connection.session?.welcomed) yield connection;
  }

  hasAny(subject: SubjectKey): boolean {
    return this.#bySubject.has(subject);
  }

  /** Subjects of which a sidecar holds an update back because of a guard. */
  guardedSubjects(): Set<SubjectKey> {
    const subjects = new Set<SubjectKey>();
    for (const { session } of this.#byNode.values()) if (session?.config.hold?.kind === 'guard') subjects.add(session.subject);
    return subjects;
  }

  /** Nodes, without the instance itself, that may still choose it: by what they ACKed, or because that is not known. */
  callersOf(service: string, instance: string): string[] {
    const callers: string[] = [];
    for (const [caller, { session }] of this.#byNode) {
      if (caller === instance || !session?.state.list.services.has(service)) continue;
      if (session.state.acked === null || mayChoose(session.state.acked, service, instance)) callers.push(caller);
    }
    return callers;
  }
}

function sees(session: SidecarSession, moved: ReadonlySet<string>): boolean {
  const { services } = session.state.list;
  const [smaller, larger] = services.size < moved.size ? [services, moved] : [moved, services];
  for (const service of smaller) if (larger.has(service)) return true;
  return false;
}
