import type { SubjectKey } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { Hello } from '@remora/proto/gen/remora/push/v1/push';
import { AcceptedManifests } from './accepted-manifests.ts';
import { Admission } from './admission.ts';
import { ConnectedSidecars, type Affected } from './connected-sidecars.ts';
import type { PushHubDeps, RunningPushHub } from './create-push-hub.ts';
import { DeltaPlans } from './delta-plans.ts';
import { DesiredContent } from './desired-content.ts';
import { DrainBarrier } from './drain-barrier.ts';
import { EncodedMessages, safeNumber } from './encoded-messages.ts';
import { EndpointViews } from './endpoint-views.ts';
import { EnforcementLedger, type LedgerEntry } from './enforcement-ledger.ts';
import { FanOut } from './fan-out.ts';
import { hasKind, ItemWaits, type ItemHolder } from './item-waits.ts';
import type { HubContext } from './hub-context.ts';
import type { Enforcement, ItemEnforcement, PublishedUpdate, PushEvent, SidecarStatus } from './push-hub.ts';
import { defaultPushLimits, type PushLimits } from './push-limits.ts';
import { createPushMetrics, type PushMetrics } from './push-metrics.ts';
import { QueryBroker, type Question } from './query-broker.ts';
import { idlePace, lazyPace, promptPace, RecordWriter } from './record-writer.ts';
import { RefusalMemory } from './refusal-memory.ts';
import { SidecarDirectory } from './sidecar-directory.ts';
import type { SidecarFacts } from './sidecar-facts.ts';
import { SidecarSession } from './sidecar-session.ts';
import { disconnectedStatus, isoTime, statusOffline, statusOfSession } from './sidecar-status.ts';
import type { QueryStream, QueryStreamHandler, SidecarStream, SidecarStreamHandler } from './sidecar-stream.ts';
import { StateMessages } from './state-messages.ts';
import { StreamWatch, sweepEveryMs } from './stream-watch.ts';
import { SubjectItems } from './subject-items.ts';
import { SyncConnection, type ConnectionOwner } from './sync-connection.ts';
import { UnansweredEntries } from './unanswered-entries.ts';

/** Callers named to a leaving sidecar and in its status. */
const stragglersMax = 256;

/** Composition of the hub: what changed, whom it concerns, and whose turn it is. See PushHub. */
export class Hub implements RunningPushHub, ConnectionOwner {
  readonly metrics: PushMetrics = createPushMetrics();
  readonly #deps: PushHubDeps;
  readonly #limits: PushLimits;
  readonly #context: HubContext;
  readonly #prompt: RecordWriter;
  readonly #lazy: RecordWriter;
  readonly #idle: RecordWriter;
  readonly #directory: SidecarDirectory;
  readonly #broker: QueryBroker;
  readonly #turns: FanOut<SyncConnection>;
  readonly #beats: FanOut<SyncConnection>;
  readonly #connected = new ConnectedSidecars();
  readonly #admission: Admission;
  readonly #unanswered: UnansweredEntries;
  readonly #itemWaits: ItemWaits;
  readonly #listeners = new Set<(event: PushEvent) => void>();
  readonly #watch: StreamWatch;
  readonly #unsubscribe: () => void;
  #stateEpoch = 0;
  #stateCounter = 0;
  /** Whose items changed since the last entry: the entry may be why, and is enforced when they have them. */
  #itemsMoved: Set<SubjectKey> | 'all' = new Set();

  constructor(deps: PushHubDeps) {
    const { timers, store, identity } = deps;
    const nowMs = (): number => this.nowMs();
    this.#deps = deps;
    this.#limits = { ...defaultPushLimits, ...deps.limits };
    const onError = (error: unknown): void => deps.onStoreError?.(error);
    this.#prompt = new RecordWriter({ store, timers, onError, pace: promptPace });
    this.#lazy = new RecordWriter({ store, timers, onError, pace: lazyPace });
    this.#idle = new RecordWriter({ store, timers, onError, pace: idlePace });
    this.#context = this.#createContext();
    this.#directory = new SidecarDirectory({
      store, writer: this.#lazy, idleWriter: this.#idle, max: this.#limits.rememberedMax, maxAgeMs: this.#limits.rememberedForMs, current: (nodeId) => this.#current(nodeId),
    });
    this.#admission = new Admission({
      identity, nowMs, limits: this.#limits, metrics: this.metrics, content: this.#context.content, connected: this.#connected.byNode, onBehind: (version) => deps.onBehind?.(version),
    });
    this.#broker = new QueryBroker({ timers, limits: this.#limits, metrics: this.metrics, mayAttach: (stream, nodeId, incarnation) => this.#admission.mayAsk(stream, nodeId, incarnation) });
    this.#turns = new FanOut({ serve: (connection) => this.#serve(connection), soon: deps.soon, perTurn: this.#limits.streamsPerTurn });
    this.#beats = new FanOut({ serve: (connection) => this.#beat(connection), soon: deps.soon, perTurn: this.#limits.streamsPerTurn });
    this.#unanswered = new UnansweredEntries(this.#context.ledger, this.nowMs());
    this.#itemWaits = new ItemWaits({ clock: deps.clock, timers, waitsMax: this.#limits.itemWaitsMax });
    this.#unsubscribe = deps.registry.onChange((services) => this.#endpointsChanged(services));
    this.#watch = new StreamWatch({ timers, nowMs, limits: this.#limits, streams: this.#connected.streams, beat: (connection) => this.#beats.mark(connection), swept: () => this.#swept() });
  }

  publish(update: PublishedUpdate): void {
    const { content, ledger, views } = this.#context;
    const now = this.nowMs();
    const isFirst = !content.published;
    const changed = content.take(update, now, this.#connected.guardedSubjects());
    if (isFirst) this.#stateEpoch = update.version.epoch + this.#deps.registry.version().fence;
    const moved = views.refresh(this.#deps.registry.takeStaticChanges(), now);
    const affected = isFirst ? [] : this.#connected.affected(changed, { services: moved, subjects: this.#itemsMoved, isBehind: (session) => !session.state.hasAll(now) }, (subject) => content.of(subject) !== null);
    this.#itemsMoved = new Set();
    const members = new Map<string, SubjectKey>();
    for (const { session, config, state } of affected) if (config || state) members.set(session.facts.nodeId, session.subject);
    const committedAtMs = now - Math.max(0, this.#deps.clock.wallMs() - update.committedAtMs);
    if (isFirst) this.#first(update.version, committedAtMs);
    else this.#push(ledger.open(update.version, committedAtMs, members), affected, now);
  }

  /** What an earlier run knows of the newest entry stays. Everybody who came before it is served now. */
  #first(version: Version, committedAtMs: number): void {
    const { ledger } = this.#context;
    if (!ledger.get(version.index)) ledger.open(version, committedAtMs, new Map());
    for (const connection of this.#connected.streams) this.#turns.mark(connection);
  }

  #push(entry: LedgerEntry, affected: readonly Affected[], now: number): void {
    for (const { connection, session, config, state } of affected) {
      if (config || state) session.entries.add(entry, { config, state }, now);
      session.retarget();
      this.#turns.mark(connection);
    }
  }

  sidecars(): readonly SidecarStatus[] {
    const all = [...this.#connected.byNode.values()].map((connection) => this.#statusOf(connection)).filter((status) => status !== null);
    for (const status of this.#directory.all()) all.push(statusOffline(status, this.#context));
    return all.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  sidecar(nodeId: string): SidecarStatus | null {
    const connected = this.#current(nodeId);
    if (connected) return connected;
    const remembered = this.#directory.get(nodeId);
    return remembered && statusOffline(remembered, this.#context);
  }

  enforcement(index: number): Enforcement | null {
    return this.#context.ledger.get(index);
  }

  waitApplied(index: number, timeoutMs: number): Promise<Enforcement> {
    return this.#context.ledger.wait(index, timeoutMs);
  }

  waitItems(kind: string, timeoutMs: number): Promise<ItemEnforcement> {
    const now = this.nowMs();
    const holders: ItemHolder[] = [];
    for (const { session } of this.#connected.byNode.values()) if (session) holders.push(session.itemHolder(now));
    return this.#itemWaits.open(kind, holders, this.#outOfContact(kind), timeoutMs);
  }

  /** Those that may still serve with what they had of a kind. */
  *#outOfContact(kind: string): Generator<SidecarStatus> {
    const { items, content } = this.#context;
    const needs = new Map<SubjectKey, boolean>();
    for (const status of this.#directory.all()) {
      const { subject } = status;
      if (status.left || content.of(subject) === null) continue;
      if (!needs.has(subject)) needs.set(subject, hasKind(items.of(subject), kind));
      if (needs.get(subject)) yield status;
    }
    for (const subject of needs.keys()) if (!this.#connected.hasAny(subject)) items.forget(subject);
  }

  ask(nodeId: string, question: Question, timeoutMs: number): Promise<unknown> {
    return this.#broker.ask(nodeId, question, timeoutMs);
  }

  async askAll(question: { readonly why: string }, timeoutMs: number): Promise<{ answers: ReadonlyMap<string, unknown>; silent: readonly string[] }> {
    const answers = new Map<string, unknown>();
    const silent: string[] = [];
    const nodes = [...this.#connected.byNode.keys()];
    const outcomes = await Promise.allSettled(nodes.map((nodeId) => this.#broker.ask(nodeId, question, timeoutMs)));
    outcomes.forEach((outcome, i) => {
      const nodeId = nodes[i] ?? '';
      if (outcome.status === 'fulfilled') answers.set(nodeId, outcome.value);
      else silent.push(nodeId);
    });
    return { answers, silent };
  }

  onEvent(listener: (event: PushEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  recheck(concerns: (nodeId: string, subject: SubjectKey) => boolean): void {
    for (const [nodeId, connection] of new Map(this.#connected.byNode)) {
      if (!connection.session || !concerns(nodeId, connection.session.subject)) continue;
      connection.nextIdentityCheckAtMs = 0;
      if (!this.#admission.isStillBelieved(connection, connection.session)) this.#broker.turnAway(nodeId);
    }
  }

  acceptSync(stream: SidecarStream): SidecarStreamHandler {
    const connection = new SyncConnection(this, stream);
    this.#connected.opened(connection);
    this.metrics.streams = this.#connected.streams.size;
    this.metrics.connectsTotal++;
    return connection;
  }

  acceptQueries(stream: QueryStream): QueryStreamHandler {
    return this.#broker.accept(stream);
  }

  close(): void {
    // Before the streams: nobody is out of contact because we stop.
    this.#itemWaits.close();
    this.#watch.close();
    this.#unsubscribe();
    this.#context.items.close();
    for (const connection of this.#connected.streams) connection.end({ code: 'unavailable', message: 'The control plane is stopping.' });
    this.#broker.close();
    this.#context.barrier.close();
    this.#context.ledger.close();
    this.#prompt.flush();
    this.#lazy.flush();
    this.#idle.flush();
  }

  nowMs(): number {
    return this.#deps.clock.monotonicMs();
  }

  admit(connection: SyncConnection, hello: Hello): void {
    const facts = this.#admission.admit(connection, hello);
    if (facts) this.#enter(connection, facts, hello);
  }

  leaving(connection: SyncConnection, session: SidecarSession, deadlineMs: number): void {
    const { registry } = this.#deps;
    const { nodeId, subject } = session.facts;
    session.leaving = true;
    registry.drain(nodeId);
    this.#endpointsChanged([subject.name]);
    const callers = subject.kind === 'service' ? this.#connected.callersOf(subject.name, nodeId) : [];
    const waitMs = deadlineMs > 0 ? Math.min(deadlineMs, this.#limits.drainBarrierMs) : this.#limits.drainBarrierMs;
    const done = (late: readonly string[]): void => {
      const stragglers = late.slice(0, stragglersMax);
      session.stragglers = stragglers;
      if (connection.over) return;
      this.#directory.changed(nodeId);
      session.say({ $case: 'safeToStop', value: { stragglers } });
    };
    this.#context.barrier.raise({ service: subject.name, instance: nodeId, callers, waitMs, done });
    this.#directory.changed(nodeId);
  }

  ended(connection: SyncConnection): void {
    const { session } = connection;
    this.#connected.closed(connection);
    this.#turns.forget(connection);
    this.#beats.forget(connection);
    this.metrics.streams = this.#connected.streams.size;
    this.metrics.disconnectsTotal++;
    if (!session || this.#connected.byNode.get(session.facts.nodeId) !== connection) return;
    const { nodeId } = session.facts;
    const status = this.#statusOf(connection);
    session.close();
    session.entries.offline(this.nowMs());
    this.#unanswered.keep(nodeId, session.entries);
    this.#connected.left(connection, session);
    if (!this.#connected.hasAny(session.subject)) this.#context.items.forget(session.subject);
    this.#itemWaits.gone(nodeId, session.leaving);
    this.#context.barrier.gone(nodeId);
    if (session.facts.subject.kind === 'service') this.#deps.registry.detach(nodeId);
    if (status && session.welcomed) this.#directory.disconnected(disconnectedStatus(status, this.#deps.clock.wallMs()));
    this.#emit({ type: 'sidecar-disconnected', at: this.#isoNow(), nodeId, subject: session.subject, version: session.config.appliedVersion, detail: '' });
  }

  #enter(connection: SyncConnection, facts: SidecarFacts, hello: Hello): void {
    const { nodeId } = facts;
    for (const hash of facts.refusedHashes) this.#context.refusals.remember(facts.build.id, hash, null);
    const session = new SidecarSession({
      context: this.#context, facts, stream: connection.stream, appReady: hello.appReady, staleSinceMs: safeNumber(hello.staleSinceMs),
      entries: this.#unanswered.take(nodeId), changed: (changed) => this.#changed(changed),
    });
    connection.session = session;
    this.#connected.admitted(connection, session);
    // Its answer comes with its turn; until there is anything to answer with, a heartbeat says that somebody is here.
    if (this.#context.content.published) this.#turns.mark(connection);
    else this.#beat(connection);
    if (hello.leaving) this.leaving(connection, session, 0);
  }

  /** First turn of a session, once there is something to compare it with. */
  #welcome(connection: SyncConnection, session: SidecarSession): boolean {
    const { facts } = session;
    if (!this.#admission.mayStay(connection, session, this.#stateEpoch)) return false;
    session.welcomed = true;
    session.retarget();
    this.#directory.connected(facts.nodeId);
    this.#announce(session);
    this.#emit({ type: 'sidecar-connected', at: this.#isoNow(), nodeId: facts.nodeId, subject: session.subject, version: session.config.appliedVersion, detail: connection.stream.peer.address });
    return true;
  }

  #serve(connection: SyncConnection): void {
    const { session } = connection;
    if (connection.over || !session) return;
    if (!session.welcomed && !this.#welcome(connection, session)) return;
    session.pump();
  }

  #endpointsChanged(services: Iterable<string>): void {
    const moved = this.#context.views.refresh(services, this.nowMs());
    for (const connection of this.#connected.seeing(moved)) this.#turns.mark(connection);
  }

  #itemsChanged(subjects: readonly SubjectKey[] | 'all'): void {
    if (subjects === 'all') this.#itemsMoved = 'all';
    else if (this.#itemsMoved !== 'all') for (const subject of subjects) this.#itemsMoved.add(subject);
    for (const connection of this.#connected.of(subjects)) this.#turns.mark(connection);
  }

  #changed(session: SidecarSession): void {
    const { nodeId } = session.facts;
    if (session.refusal) this.#directory.changed(nodeId);
    else this.#directory.advanced(nodeId);
    if (this.#itemWaits.size > 0) this.#itemWaits.answered(session.itemHolder(this.nowMs()));
    this.#announce(session);
  }

  #announce(session: SidecarSession): void {
    const { facts } = session;
    const ready = session.appReady && session.config.appliedHash !== '';
    if (facts.subject.kind !== 'service' || session.announcedReady === ready) return;
    session.announcedReady = ready;
    this.#deps.registry.renew({
      nodeId: facts.nodeId, incarnation: facts.incarnation, service: facts.subject.name, ports: facts.ports, labels: facts.labels, locality: facts.locality,
      protocols: facts.protocols, mtls: facts.mtls, ready,
    });
  }

  #swept(): void {
    this.metrics.waitingStreams = this.#turns.size;
    this.metrics.itemWaits = this.#itemWaits.size;
    this.#directory.forget(this.#deps.clock.wallMs());
  }

  #beat(connection: SyncConnection): void {
    if (connection.over || !connection.session || !this.#admission.isStillBelieved(connection, connection.session)) return;
    connection.nextBeatAtMs = this.nowMs() + this.#limits.heartbeatEveryMs - sweepEveryMs / 2;
    if (connection.stream.bufferedBytes >= this.#limits.highWaterBytes) return;
    connection.session.say({ $case: 'heartbeat', value: { clockMs: BigInt(this.#deps.clock.wallMs()) } });
  }

  #statusOf(connection: SyncConnection): SidecarStatus | null {
    if (!connection.session) return null;
    const silentMs = this.nowMs() - connection.lastHeardMs;
    return statusOfSession(connection.session, this.#context, this.#deps.clock.wallMs() - silentMs);
  }

  #current(nodeId: string): SidecarStatus | null {
    const connection = this.#connected.byNode.get(nodeId);
    return connection ? this.#statusOf(connection) : null;
  }

  #isoNow(): string {
    return isoTime(this.#deps.clock.wallMs());
  }

  #emit(event: PushEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #nextStateVersion(): Version {
    return { epoch: this.#stateEpoch, index: ++this.#stateCounter };
  }

  #createContext(): HubContext {
    const { clock, timers, random, store, registry, identity } = this.#deps;
    const limits = this.#limits;
    const ledger = new EnforcementLedger({ clock, timers, store, writer: this.#lazy, entriesMax: limits.enforcementsMax, membersMax: limits.enforcementMembersMax });
    ledger.onSettled = (entry, outcome) => this.#emit({
      type: outcome === 'enforced' ? 'revision-enforced' : 'revision-refused', at: this.#isoNow(), version: entry.version,
      detail: `${entry.counts.applied} of ${entry.counts.total}`,
    });
    return {
      clock, timers, random, limits, metrics: this.metrics, authenticated: identity.authenticated, registry, ledger,
      content: new DesiredContent(store),
      views: new EndpointViews(registry),
      items: new SubjectItems(this.#deps.items ?? [], { changed: (subjects) => this.#itemsChanged(subjects), leftOut: () => void this.metrics.itemsLeftOutTotal++ }),
      messages: new EncodedMessages(limits.chunkCacheBytes),
      plans: new DeltaPlans(),
      stateMessages: new StateMessages(() => this.#nextStateVersion(), limits.stateMessageBytes),
      refusals: new RefusalMemory({ store, writer: this.#prompt, max: limits.refusalsRemembered }),
      accepted: new AcceptedManifests({ store, writer: this.#lazy, max: limits.acceptedRemembered }),
      barrier: new DrainBarrier(timers),
      emit: (event) => this.#emit(event),
    };
  }
}
