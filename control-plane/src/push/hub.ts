import type { Subject, SubjectKey } from '@remora/core/subject';
import type { Timer } from '@remora/core/clock';
import { suggest } from '@remora/core/suggest';
import { compareVersions, formatVersion, type Version } from '@remora/core/version';
import type { Hello } from '@remora/proto/gen/remora/push/v1/push';
import { AcceptedManifests } from './accepted-manifests.ts';
import type { PushHubDeps, RunningPushHub } from './create-push-hub.ts';
import { DeltaPlans } from './delta-plans.ts';
import { DesiredContent } from './desired-content.ts';
import { DrainBarrier, mayChoose } from './drain-barrier.ts';
import { encodeMessage, EncodedMessages, safeNumber, type ControlBody } from './encoded-messages.ts';
import { EndpointViews } from './endpoint-views.ts';
import { EnforcementLedger, type LedgerEntry } from './enforcement-ledger.ts';
import { FanOut } from './fan-out.ts';
import type { HubContext } from './hub-context.ts';
import { PendingEntries } from './pending-entries.ts';
import type { Enforcement, PublishedUpdate, PushEvent, SidecarStatus } from './push-hub.ts';
import { defaultPushLimits, type PushLimits } from './push-limits.ts';
import { countOne, createPushMetrics, type PushMetrics } from './push-metrics.ts';
import { QueryBroker, type Question } from './query-broker.ts';
import { idlePace, lazyPace, promptPace, RecordWriter } from './record-writer.ts';
import { RefusalMemory } from './refusal-memory.ts';
import { SidecarDirectory } from './sidecar-directory.ts';
import { readHello, type SidecarFacts } from './sidecar-facts.ts';
import { SidecarSession } from './sidecar-session.ts';
import { disconnectedStatus, isoTime, statusOffline, statusOfSession } from './sidecar-status.ts';
import type { QueryStream, QueryStreamHandler, SidecarStream, SidecarStreamHandler } from './sidecar-stream.ts';
import { StateMessages } from './state-messages.ts';
import { SyncConnection, type ConnectionOwner } from './sync-connection.ts';

const sweepEveryMs = 1_000;
/** A sweep that comes this late means that this process stood still: silence was ours, not the sidecars'. */
const stallMs = 3_000;
/** Callers named to a leaving sidecar and in its status. */
const stragglersMax = 256;

const unansweredMax = 10_000;

/** A sidecar that an entry concerns, and in which lanes. */
interface Affected {
  readonly connection: SyncConnection;
  readonly session: SidecarSession;
  readonly config: boolean;
  readonly state: boolean;
}

/** Composition of the hub: who is connected, what changed, whose turn it is. See PushHub. */
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
  readonly #connections = new Set<SyncConnection>();
  readonly #byNode = new Map<string, SyncConnection>();
  readonly #bySubject = new Map<SubjectKey, Set<SyncConnection>>();
  /** Entries that sidecars had not answered for when they went; the ones that went first are forgotten first. */
  readonly #unanswered = new Map<string, PendingEntries>();
  readonly #listeners = new Set<(event: PushEvent) => void>();
  readonly #sweeper: Timer;
  readonly #unsubscribe: () => void;
  #stateEpoch = 0;
  #stateCounter = 0;
  #lastSweepMs: number;

  constructor(deps: PushHubDeps) {
    const { clock, timers, store } = deps;
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
    this.#broker = new QueryBroker({ timers, limits: this.#limits, metrics: this.metrics, mayAttach: (stream, nodeId, incarnation) => this.#mayAsk(stream, nodeId, incarnation) });
    this.#turns = new FanOut({ serve: (connection) => this.#serve(connection), soon: deps.soon, perTurn: this.#limits.streamsPerTurn });
    this.#beats = new FanOut({ serve: (connection) => this.#beat(connection), soon: deps.soon, perTurn: this.#limits.streamsPerTurn });
    for (const { entry, nodeId } of this.#context.ledger.unanswered()) this.#restoreUnanswered(entry, nodeId);
    this.#unsubscribe = deps.registry.onChange((services) => this.#endpointsChanged(services));
    this.#lastSweepMs = clock.monotonicMs();
    this.#sweeper = timers.every(sweepEveryMs, () => this.#sweep());
  }

  publish(update: PublishedUpdate): void {
    const { content, ledger, views } = this.#context;
    const now = this.nowMs();
    const isFirst = !content.published;
    const changed = content.take(update, now, this.#guardedSubjects());
    if (isFirst) this.#stateEpoch = update.version.epoch + this.#deps.registry.version().fence;
    const moved = views.refresh(this.#deps.registry.takeStaticChanges(), now);
    const affected = isFirst ? [] : this.#affected(changed, moved);
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
    for (const connection of this.#connections) this.#turns.mark(connection);
  }

  #push(entry: LedgerEntry, affected: readonly Affected[], now: number): void {
    for (const { connection, session, config, state } of affected) {
      if (config || state) session.entries.add(entry, { config, state }, now);
      session.retarget();
      this.#turns.mark(connection);
    }
  }

  sidecars(): readonly SidecarStatus[] {
    const all = [...this.#byNode.values()].map((connection) => this.#statusOf(connection)).filter((status) => status !== null);
    for (const status of this.#directory.all()) all.push(statusOffline(status, this.#context));
    return all.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
  }

  sidecar(nodeId: string): SidecarStatus | null {
    const connection = this.#byNode.get(nodeId);
    if (connection) return this.#statusOf(connection);
    const remembered = this.#directory.get(nodeId);
    return remembered && statusOffline(remembered, this.#context);
  }

  enforcement(index: number): Enforcement | null {
    return this.#context.ledger.get(index);
  }

  waitApplied(index: number, timeoutMs: number): Promise<Enforcement> {
    return this.#context.ledger.wait(index, timeoutMs);
  }

  ask(nodeId: string, question: Question, timeoutMs: number): Promise<unknown> {
    return this.#broker.ask(nodeId, question, timeoutMs);
  }

  async askAll(question: { readonly why: string }, timeoutMs: number): Promise<{ answers: ReadonlyMap<string, unknown>; silent: readonly string[] }> {
    const answers = new Map<string, unknown>();
    const silent: string[] = [];
    const nodes = [...this.#byNode.keys()];
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

  acceptSync(stream: SidecarStream): SidecarStreamHandler {
    const connection = new SyncConnection(this, stream);
    this.#connections.add(connection);
    this.metrics.streams = this.#connections.size;
    this.metrics.connectsTotal++;
    return connection;
  }

  acceptQueries(stream: QueryStream): QueryStreamHandler {
    return this.#broker.accept(stream);
  }

  close(): void {
    this.#sweeper.cancel();
    this.#unsubscribe();
    for (const connection of this.#connections) connection.end({ code: 'unavailable', message: 'The control plane is stopping.' });
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
    const facts = readHello(hello);
    if (typeof facts === 'string') return this.#reject(connection, 'bad-hello', facts, 60_000);
    const { nodeId, subject } = facts;
    const verdict = this.#deps.identity.verify(connection.stream.peer, { nodeId, subject });
    if (!verdict.ok) return this.#reject(connection, 'identity', verdict.reason, 30_000);
    const older = this.#byNode.get(nodeId);
    if (older?.session && older.session.facts.incarnation > facts.incarnation) {
      return this.#reject(connection, 'older-incarnation', `Node ${nodeId} is connected with a newer incarnation from ${older.stream.peer.address}. Two sidecars may not share a node id.`, 30_000);
    }
    if (!older && this.#byNode.size >= this.#limits.sidecarsMax) return this.#reject(connection, 'too-many-sidecars', `This control plane serves at most ${this.#limits.sidecarsMax} sidecars.`, 30_000);
    if (older) this.#reject(older, 'replaced', `A newer stream of node ${nodeId} came from ${connection.stream.peer.address}.`, 30_000);
    this.#enter(connection, facts, hello);
  }

  leaving(connection: SyncConnection, session: SidecarSession, deadlineMs: number): void {
    const { registry } = this.#deps;
    const { nodeId, subject } = session.facts;
    session.leaving = true;
    registry.drain(nodeId);
    this.#endpointsChanged([subject.name]);
    const callers: string[] = [];
    for (const [caller, { session }] of this.#byNode) {
      if (subject.kind === 'service' && caller !== nodeId && session && needsService(session, subject.name, nodeId)) callers.push(caller);
    }
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
    this.#connections.delete(connection);
    this.#turns.forget(connection);
    this.#beats.forget(connection);
    this.metrics.streams = this.#connections.size;
    this.metrics.disconnectsTotal++;
    if (!session || this.#byNode.get(session.facts.nodeId) !== connection) return;
    const { nodeId } = session.facts;
    const status = this.#statusOf(connection);
    session.close();
    session.entries.offline(this.nowMs());
    this.#rememberUnanswered(nodeId, session.entries);
    this.#byNode.delete(nodeId);
    this.#bySubject.get(session.subject)?.delete(connection);
    if (this.#bySubject.get(session.subject)?.size === 0) this.#bySubject.delete(session.subject);
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
      entries: this.#unanswered.get(nodeId) ?? new PendingEntries(this.#context.ledger, nodeId), changed: (changed) => this.#changed(changed),
    });
    this.#unanswered.delete(nodeId);
    connection.session = session;
    connection.nextIdentityCheckAtMs = this.nowMs() + this.#limits.identityCheckEveryMs;
    this.#byNode.set(nodeId, connection);
    const siblings = this.#bySubject.get(session.subject) ?? new Set();
    this.#bySubject.set(session.subject, siblings.add(connection));
    // Its answer comes with its turn; until there is anything to answer with, a heartbeat says that somebody is here.
    if (this.#context.content.published) this.#turns.mark(connection);
    else this.#beat(connection);
    if (hello.leaving) this.leaving(connection, session, 0);
  }

  /** First turn of a session, once there is something to compare it with. */
  #welcome(connection: SyncConnection, session: SidecarSession): boolean {
    const { content } = this.#context;
    const { facts } = session;
    if (compareVersions(facts.config.version, content.version) > 0 || facts.state.version.epoch > this.#stateEpoch) {
      this.#deps.onBehind?.(facts.config.version);
      this.#shed(connection, `The sidecar has seen ${formatVersion(facts.config.version)}, this control plane is at ${formatVersion(content.version)}.`);
      return false;
    }
    if (!content.of(session.subject) && facts.config.hash === '') {
      this.#reject(connection, `unknown-${facts.subject.kind}`, this.#unknownSubject(facts.subject), 2_000);
      return false;
    }
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

  #affected(changed: ReadonlySet<SubjectKey>, moved: ReadonlySet<string>): Affected[] {
    const affected: Affected[] = [];
    const add = (connection: SyncConnection, config: boolean, state: boolean): void => {
      if (connection.session?.welcomed) affected.push({ connection, session: connection.session, config, state });
    };
    for (const subject of changed) {
      const config = this.#context.content.of(subject) !== null;
      for (const connection of this.#bySubject.get(subject) ?? []) add(connection, config, connection.session !== null && intersects(connection.session, moved));
    }
    if (moved.size === 0) return affected;
    for (const connection of this.#byNode.values()) {
      if (connection.session && !changed.has(connection.session.subject) && intersects(connection.session, moved)) add(connection, false, true);
    }
    return affected;
  }

  #restoreUnanswered(entry: LedgerEntry, nodeId: string): void {
    const entries = this.#unanswered.get(nodeId) ?? new PendingEntries(this.#context.ledger, nodeId);
    entries.restore(entry, this.nowMs());
    this.#rememberUnanswered(nodeId, entries);
  }

  #rememberUnanswered(nodeId: string, entries: PendingEntries): void {
    this.#unanswered.delete(nodeId);
    if (entries.size === 0) return;
    this.#unanswered.set(nodeId, entries);
    const oldest = this.#unanswered.keys().next();
    if (this.#unanswered.size > unansweredMax && !oldest.done) this.#unanswered.delete(oldest.value);
  }

  #guardedSubjects(): Set<SubjectKey> {
    const subjects = new Set<SubjectKey>();
    for (const { session } of this.#byNode.values()) if (session?.config.hold?.kind === 'guard') subjects.add(session.subject);
    return subjects;
  }

  #endpointsChanged(services: Iterable<string>): void {
    const moved = this.#context.views.refresh(services, this.nowMs());
    if (moved.size === 0) return;
    for (const connection of this.#byNode.values()) {
      if (connection.session?.welcomed && intersects(connection.session, moved)) this.#turns.mark(connection);
    }
  }

  #changed(session: SidecarSession): void {
    const { nodeId } = session.facts;
    if (session.refusal) this.#directory.changed(nodeId);
    else this.#directory.advanced(nodeId);
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

  #sweep(): void {
    const now = this.nowMs();
    const late = now - this.#lastSweepMs - sweepEveryMs;
    this.#lastSweepMs = now;
    for (const connection of this.#connections) {
      if (late > stallMs) connection.lastHeardMs = Math.min(now, connection.lastHeardMs + late);
      this.#check(connection, now);
    }
    this.metrics.waitingStreams = this.#turns.size;
    this.#directory.forget(this.#deps.clock.wallMs());
  }

  #check(connection: SyncConnection, now: number): void {
    const { session } = connection;
    if (connection.stream.bufferedBytes === 0) connection.lastTakenMs = now;
    const waitingSince = Math.min(session?.waitingSinceMs() ?? now, connection.lastTakenMs);
    if (!session && now - connection.openedAtMs > this.#limits.helloTimeoutMs) {
      connection.end({ code: 'deadline-exceeded', message: `No Hello came within ${this.#limits.helloTimeoutMs} ms.` });
    } else if (now - connection.lastHeardMs > this.#limits.silenceMs) {
      connection.cut();
    } else if (now - waitingSince > this.#limits.ackTimeoutMs) {
      connection.cut();
    } else if (session && now >= connection.nextBeatAtMs) {
      this.#beats.mark(connection);
    }
  }

  #beat(connection: SyncConnection): void {
    if (connection.over || !connection.session || !this.#isStillBelieved(connection, connection.session)) return;
    connection.nextBeatAtMs = this.nowMs() + this.#limits.heartbeatEveryMs - sweepEveryMs / 2;
    if (connection.stream.bufferedBytes >= this.#limits.highWaterBytes) return;
    connection.session.say({ $case: 'heartbeat', value: { clockMs: BigInt(this.#deps.clock.wallMs()) } });
  }

  /** Certificates end, and roots go, while streams live on: who they were once is not who they are. */
  #isStillBelieved(connection: SyncConnection, { facts: { nodeId, subject } }: SidecarSession): boolean {
    const now = this.nowMs();
    if (now < connection.nextIdentityCheckAtMs) return true;
    connection.nextIdentityCheckAtMs = now + this.#limits.identityCheckEveryMs;
    const verdict = this.#deps.identity.verify(connection.stream.peer, { nodeId, subject });
    if (!verdict.ok) this.#reject(connection, 'identity', verdict.reason, 1_000);
    return verdict.ok;
  }

  #reject(connection: SyncConnection, code: string, message: string, retryAfterMs: number): void {
    countOne(this.metrics.rejectionsTotal, code);
    this.#farewell(connection, { $case: 'rejected', value: { code, message, retry: true, retryAfterMs: BigInt(retryAfterMs) } });
  }

  #shed(connection: SyncConnection, reason: string): void {
    countOne(this.metrics.rejectionsTotal, 'shed');
    this.#farewell(connection, { $case: 'shed', value: { retryAfterMs: 1_000n, otherAddresses: [], reason } });
  }

  #farewell(connection: SyncConnection, body: ControlBody): void {
    const bytes = encodeMessage(body);
    this.metrics.messagesSentTotal++;
    this.metrics.bytesSentTotal += bytes.length;
    connection.stream.send(bytes);
    connection.end();
  }

  #unknownSubject(subject: Subject): string {
    const kind = subject.kind === 'service' ? 'Service' : 'Gateway';
    const prefix = `${subject.kind}/`;
    const names = [...this.#context.content.subjects].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    const near = suggest(subject.name, names);
    return `There is no ${kind} named "${subject.name}"${near === undefined ? '.' : `; did you mean "${near}"?`}`;
  }

  #mayAsk(stream: QueryStream, nodeId: string, incarnation: number): string | null {
    const session = this.#byNode.get(nodeId)?.session;
    if (!session || session.facts.incarnation !== incarnation) return `Node ${nodeId.slice(0, 253)} has no open Sync stream of this incarnation.`;
    const verdict = this.#deps.identity.verify(stream.peer, { nodeId, subject: session.facts.subject });
    return verdict.ok ? null : verdict.reason;
  }

  #statusOf(connection: SyncConnection): SidecarStatus | null {
    if (!connection.session) return null;
    const silentMs = this.nowMs() - connection.lastHeardMs;
    return statusOfSession(connection.session, this.#context, this.#deps.clock.wallMs() - silentMs);
  }

  #current(nodeId: string): SidecarStatus | null {
    const connection = this.#byNode.get(nodeId);
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

function intersects(session: SidecarSession, moved: ReadonlySet<string>): boolean {
  const { services } = session.state.list;
  const [smaller, larger] = services.size < moved.size ? [services, moved] : [moved, services];
  for (const service of smaller) if (larger.has(service)) return true;
  return false;
}

/** Whether a caller may still choose the instance: by what it ACKed, or because that is not known. */
function needsService(session: SidecarSession, service: string, instance: string): boolean {
  if (!session.state.list.services.has(service)) return false;
  return session.state.acked === null || mayChoose(session.state.acked, service, instance);
}
