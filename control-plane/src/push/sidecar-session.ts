import type { Timer } from '@remora/core/clock';
import { subjectKey, type SubjectKey } from '@remora/core/subject';
import { compareVersions } from '@remora/core/version';
import { readCertificate } from '@remora/identity/pem';
import { observe } from '@remora/telemetry/histogram';
import { Lane, type Ack, type Applied, type Nack, type NeedHashes, type SidecarHeartbeat } from '@remora/proto/gen/remora/push/v1/push';
import { ConfigLane, type ConfigTarget } from './config-lane.ts';
import type { BaseContent, Content } from './content.ts';
import { encodeMessage, fromWireVersion, safeNumber, type ControlBody } from './encoded-messages.ts';
import type { ItemHolder } from './item-waits.ts';
import { DestinationList, viewOfSets, type EndpointView } from './endpoint-views.ts';
import type { HubContext } from './hub-context.ts';
import type { PendingEntries } from './pending-entries.ts';
import { countMany, countOne } from './push-metrics.ts';
import type { RefusalStatus } from './push-hub.ts';
import { refusalStatus } from './refusal-status.ts';
import { readApplied, type SidecarFacts } from './sidecar-facts.ts';
import type { SidecarStream } from './sidecar-stream.ts';
import { StateLane } from './state-lane.ts';

/** What a heartbeat says besides what is applied. */
export interface SidecarVitals {
  clockOffsetMs: number;
  rssBytes: number;
  cpuShare: number;
  stallMs: number;
  warming: readonly string[];
  /** Seconds since the keys of issuers were fetched, by issuer. */
  keyAges: ReadonlyMap<string, number>;
}

/**
 * One admitted sidecar stream: brings both lanes to what is desired and keeps what the sidecar says. The hub decides who
 * is admitted, what is desired, and when a stream has been silent for too long.
 */
export class SidecarSession {
  readonly facts: SidecarFacts;
  readonly subject: SubjectKey;
  readonly stream: SidecarStream;
  readonly config: ConfigLane;
  readonly state: StateLane;
  readonly entries: PendingEntries;
  readonly connectedAtMs: number;
  /** Serial number of the certificate of its stream; '' without one. */
  readonly certificate: string;
  readonly vitals: SidecarVitals = { clockOffsetMs: 0, rssBytes: 0, cpuShare: 0, stallMs: 0, warming: [], keyAges: new Map() };
  appReady: boolean;
  /** Why it is not, as far as it has been told; bounded. */
  appProblem = '';
  leaving = false;
  /** Callers that did not confirm in time that it leaves. */
  stragglers: readonly string[] = [];
  /** Unix ms since when it had no contact, by its own word; 0 otherwise. */
  staleSinceMs: number;
  /** The last refusal, until what is desired is in force. */
  refusal: RefusalStatus | null = null;
  /** Since when what is desired and what is applied differ, monotonic; null while in sync. */
  divergedAtMs: number | null = null;
  welcomed = false;
  /** What the registry was told last. */
  announcedReady: boolean | null = null;
  readonly #context: HubContext;
  readonly #changed: (session: SidecarSession) => void;
  #retry: Timer | null = null;
  #inSync = false;
  /** Being in sync is to be told: it has just connected, was refused, or is late. An ordinary push is not news of each sidecar. */
  #syncIsNews = true;

  /** `changed` is told after everything that status shows; `mark` asks to be served again. */
  constructor(deps: {
    readonly context: HubContext; readonly facts: SidecarFacts; readonly stream: SidecarStream; readonly entries: PendingEntries;
    readonly appReady: boolean; readonly staleSinceMs: number; readonly changed: (session: SidecarSession) => void;
  }) {
    const { context } = deps;
    this.#context = context;
    this.#changed = deps.changed;
    this.facts = deps.facts;
    this.subject = subjectKey(deps.facts.subject);
    this.stream = deps.stream;
    const [leaf] = deps.stream.peer.certificates;
    this.certificate = leaf ? (readCertificate(leaf)?.serialNumber ?? '') : '';
    this.entries = deps.entries;
    this.appReady = deps.appReady;
    this.staleSinceMs = deps.staleSinceMs;
    this.connectedAtMs = context.clock.wallMs();
    this.config = new ConfigLane(context);
    this.state = new StateLane({ messages: context.stateMessages, views: context.views, items: () => context.items.of(this.subject), limits: context.limits });
    this.config.believe(deps.facts.config, null);
    this.state.believe(deps.facts.state);
  }

  /** Computes what both lanes should bring. Call after every change of the desired content, of grants or of what is applied. */
  retarget(): void {
    const { content, metrics } = this.#context;
    this.config.appliedContent ??= content.base(this.subject, this.config.appliedHash);
    const target = this.#target();
    if (this.config.aim(target)) metrics.abortsTotal++;
    this.#retargetState(target?.content ?? null);
    this.#noteSync();
  }

  /** Sends what may be sent now: up to the mark of the stream, state before the config that needs it. */
  pump(): void {
    const { limits, clock } = this.#context;
    while (this.stream.bufferedBytes < limits.highWaterBytes) {
      const now = clock.monotonicMs();
      const state = this.state.next(now);
      const message = state ?? this.config.next(now, (content) => this.#mayBegin(content, now));
      if (!message) return;
      this.#countPush(state ? 'state' : 'config', message);
      this.send(message.bytes);
    }
  }

  #countPush(lane: 'config' | 'state', message: { readonly bytes: Uint8Array; readonly starts: string | null }): void {
    const { metrics } = this.#context;
    if (message.starts) countOne(metrics.pushesTotal, message.starts);
    countOne(metrics.laneMessagesTotal, lane);
    countMany(metrics.laneBytesTotal, lane, message.bytes.length);
  }

  /** As waits for items look at it. */
  itemHolder(nowMs: number): ItemHolder {
    const { state, refusal } = this;
    return {
      nodeId: this.facts.nodeId, subject: this.subject, wanted: this.#context.items.of(this.subject), held: state.acked?.items ?? null, hasAll: state.hasAll(nowMs), reachedAtMs: state.reachedAtMs,
      refusal: state.isRefused(nowMs) && refusal?.lane === 'state' ? refusal : null,
    };
  }

  send(bytes: Uint8Array): void {
    const { metrics } = this.#context;
    metrics.messagesSentTotal++;
    metrics.bytesSentTotal += bytes.length;
    this.stream.send(bytes);
  }

  say(body: ControlBody): void {
    this.send(encodeMessage(body));
  }

  onAck(ack: Ack): void {
    const { metrics } = this.#context;
    const accepted = ack.lane === Lane.LANE_STATE ? this.#onStateAck(ack) : this.#onConfigAck(ack);
    if (accepted) metrics.acksTotal++;
    else metrics.strayAnswersTotal++;
    this.#changed(this);
  }

  onNack(nack: Nack): void {
    const lane = nack.lane === Lane.LANE_STATE ? 'state' : 'config';
    const refusal = lane === 'state' ? this.#onStateNack(nack) : this.#onConfigNack(nack);
    if (!refusal) {
      this.#context.metrics.strayAnswersTotal++;
      return;
    }
    countOne(this.#context.metrics.nacksTotal, `${lane}/${refusal.class}`);
    this.#emitRefused(refusal);
    this.#changed(this);
  }

  onNeed(need: NeedHashes): void {
    const hashes = need.hashes.map((hash) => hash.toString('hex'));
    this.config.need(fromWireVersion(need.version), hashes, this.#context.clock.monotonicMs());
    this.pump();
  }

  onHeartbeat(heartbeat: SidecarHeartbeat): void {
    this.vitals.clockOffsetMs = safeNumber(heartbeat.clockMs) - this.#context.clock.wallMs();
    this.vitals.rssBytes = safeNumber(heartbeat.rssBytes);
    this.vitals.cpuShare = finite(heartbeat.cpuShare);
    this.vitals.stallMs = finite(heartbeat.stallMs);
    const before = this.#visible();
    this.vitals.warming = boundedNames(heartbeat.warming);
    this.vitals.keyAges = new Map(Object.entries(heartbeat.keyAgeSeconds).slice(0, issuersMax).map(([issuer, seconds]) => [issuer.slice(0, 2_048), safeNumber(seconds)]));
    this.appReady = heartbeat.appReady;
    this.appProblem = heartbeat.appProblem.slice(0, appProblemMax);
    this.staleSinceMs = safeNumber(heartbeat.staleSinceMs);
    this.#believe(heartbeat.config, heartbeat.state);
    if (this.#visible() !== before) this.#changed(this);
  }

  /** Milliseconds after which `pump` is worth calling again was reached, or the stream ends. */
  close(): void {
    this.#retry?.cancel();
    this.#retry = null;
  }

  /** Since when an answer is missing, monotonic; null where none is. */
  waitingSinceMs(): number | null {
    const config = this.config.waitingSinceMs;
    const state = this.state.waitingSinceMs;
    return config === null ? state : state === null ? config : Math.min(config, state);
  }

  #target(): ConfigTarget | null {
    const { content, refusals } = this.#context;
    const desired = content.of(this.subject);
    if (!desired) return null;
    const { config, facts } = this;
    const refused = desired.content.hash === config.appliedHash ? null : refusals.get(facts.build.id, desired.content.hash);
    if (refused) {
      this.refusal = { ...refused, version: desired.version };
      this.entries.configRefused(desired.version, this.#context.clock.monotonicMs(), this.refusal);
      return this.#fallback();
    }
    const grants = content.grantedGuards(this.subject, config.appliedVersion, desired.version);
    return { version: desired.version, content: desired.content, grants, fallback: false };
  }

  /** What to bring a sidecar to whose build refuses the newest: what it has, or else the newest that its build confirmed. */
  #fallback(): ConfigTarget | null {
    const { content, refusals, accepted } = this.#context;
    const { build } = this.facts;
    if (this.config.appliedHash !== '') return null;
    for (const { hash, version } of accepted.newest(this.subject, build.id)) {
      const known = refusals.get(build.id, hash) ? null : content.known(this.subject, hash);
      if (known) return { version, content: known, grants: [], fallback: true };
    }
    return null;
  }

  /** What is in force keeps its endpoints until something else is in force, refused or not. */
  #retargetState(next: BaseContent | null): void {
    const { views } = this.#context;
    const { appliedContent, appliedHash } = this.config;
    this.state.paused = next === null && appliedContent === null;
    if (appliedHash !== '' && appliedContent === null) this.state.acked ??= emptyView;
    const wanted = next ?? appliedContent;
    if (!wanted) return;
    const same = !appliedContent || appliedContent.hash === wanted.hash || appliedContent.destinations.every((service) => wanted.destinations.includes(service));
    this.state.list = same ? views.listOf(wanted.destinations) : new DestinationList([...wanted.destinations, ...appliedContent.destinations]);
  }

  #mayBegin(content: Content, nowMs: number): boolean {
    return this.state.covers(content.destinations, nowMs) || nowMs < this.state.heldUntilMs;
  }

  #onConfigAck(ack: Ack): boolean {
    const { metrics, accepted, clock } = this.#context;
    const acked = this.config.ack(fromWireVersion(ack.version), ack.hash.toString('hex'), ack.persisted);
    if (!acked) return false;
    const now = clock.monotonicMs();
    this.vitals.warming = boundedNames(ack.warming);
    accepted.confirm(this.subject, this.facts.build.id, { hash: acked.target.content.hash, version: acked.target.version });
    if (!acked.target.fallback) {
      if (this.refusal && this.refusal.lane === 'config') this.refusal = null;
      this.entries.configReached(acked.target.version, acked.kind, now, metrics.propagationMs);
    }
    this.retarget();
    this.pump();
    return true;
  }

  #onStateAck(ack: Ack): boolean {
    const { clock, metrics, barrier } = this.#context;
    const now = clock.monotonicMs();
    const acked = this.state.ack(fromWireVersion(ack.version), ack.hash.toString('hex'), ack.persisted, now);
    if (!acked) return false;
    if (this.refusal?.lane === 'state') this.refusal = null;
    for (const [service, set] of acked.now.sets) {
      const before = acked.before?.sets.get(service);
      if (set && before && before.hash !== set.hash) observe(metrics.endpointPropagationMs, now - set.sinceMonotonicMs);
    }
    // What an entry wanted may have been on its way before the entry came.
    if (acked.reached) this.entries.stateReached(this.state.reachedAtMs, now, metrics.propagationMs);
    barrier.acked(this.facts.nodeId, acked.now);
    this.#noteSync();
    this.pump();
    return true;
  }

  #onConfigNack(nack: Nack): RefusalStatus | null {
    const { refusals, clock } = this.#context;
    const refused = this.config.nack(fromWireVersion(nack.version), nack.hash.toString('hex'));
    if (!refused) return null;
    const { target, kind } = refused;
    const refusal = refusalStatus(nack, { lane: 'config', version: target.version, hash: target.content.hash }, clock.wallMs());
    this.refusal = refusal;
    const guards = refusal.errors.map(({ code }) => code);
    if (refusal.class === 'invalid' && kind === 'update') {
      refusals.remember(this.facts.build.id, target.content.hash, refusal);
      this.#refuseEntries(target, refusal);
    } else if (refusal.class === 'guard' && kind === 'update' && !(guards.length > 0 && guards.every((guard) => target.grants.includes(guard)))) {
      this.config.waitForGrant(target.content.hash, guards.length > 0 ? guards : ['']);
      this.#refuseEntries(target, refusal);
    } else if (refusal.class !== 'resync' || !this.config.resync()) {
      this.#retryLater(this.config.backOff(clock.monotonicMs(), this.#context.random.next()));
    }
    this.retarget();
    this.pump();
    return refusal;
  }

  #refuseEntries(target: ConfigTarget, refusal: RefusalStatus): void {
    if (!target.fallback) this.entries.configRefused(target.version, this.#context.clock.monotonicMs(), refusal);
  }

  #onStateNack(nack: Nack): RefusalStatus | null {
    const { clock, random } = this.#context;
    const version = fromWireVersion(nack.version);
    const refused = this.state.nack(version);
    if (!refused) return null;
    const { view, kind } = refused;
    const refusal = refusalStatus(nack, { lane: 'state', version, hash: view.hash }, clock.wallMs());
    this.refusal ??= refusal;
    if (kind === 'update' && (refusal.class === 'invalid' || refusal.class === 'guard')) {
      this.state.refuse(view.hash);
      this.entries.stateRefused(clock.monotonicMs(), refusal);
    } else if (refusal.class !== 'resync' || !this.state.resync()) {
      this.#retryLater(this.state.backOff(clock.monotonicMs(), random.next()));
    }
    this.pump();
    return refusal;
  }

  #retryLater(delayMs: number): void {
    this.#retry?.cancel();
    this.#retry = this.#context.timers.after(Math.ceil(delayMs) + 1, () => this.pump());
  }

  /** The sidecar's own word wins over what was concluded from its answers, unless an answer is still to come. */
  #believe(config: Applied | undefined, state: Applied | undefined): void {
    const says = readApplied(config);
    if (!this.config.waiting && says.hash !== this.config.appliedHash) {
      this.config.believe(says, null);
      this.retarget();
      this.pump();
    } else if (says.hash === this.config.appliedHash) {
      this.config.persisted = says.persisted;
    }
    const holds = readApplied(state);
    if (!this.state.waiting && holds.hash !== this.state.appliedHash) {
      this.state.acked = null;
      this.state.believe({ ...holds, version: compareVersions(holds.version, this.state.appliedVersion) > 0 ? holds.version : this.state.appliedVersion });
      this.pump();
    } else if (holds.hash === this.state.appliedHash) {
      this.state.persisted = holds.persisted;
    }
  }

  #noteSync(): void {
    const { clock, content } = this.#context;
    const desired = content.of(this.subject);
    const inSync = desired !== null && desired.content.hash === this.config.appliedHash && this.state.desired(clock.monotonicMs()).hash === this.state.appliedHash;
    if (inSync) this.entries.inSync(clock.monotonicMs());
    const late = this.divergedAtMs !== null && clock.monotonicMs() - this.divergedAtMs > lateMs;
    if (inSync && !this.#inSync && (this.#syncIsNews || late)) {
      this.#syncIsNews = false;
      this.#context.emit({
        type: 'sidecar-in-sync', at: new Date(clock.wallMs()).toISOString(), nodeId: this.facts.nodeId, subject: this.subject,
        version: this.config.appliedVersion, detail: '',
      });
    }
    this.#inSync = inSync;
    this.divergedAtMs = inSync ? null : this.divergedAtMs ?? clock.monotonicMs();
  }

  #emitRefused(refusal: RefusalStatus): void {
    this.#syncIsNews = true;
    const first = refusal.errors[0];
    this.#context.emit({
      type: 'sidecar-refused', at: refusal.at, nodeId: this.facts.nodeId, subject: this.subject, version: refusal.version,
      detail: first ? `${refusal.class}: ${first.resource}${first.pointer}: ${first.message}` : refusal.class,
    });
  }

  #visible(): string {
    return `${this.appReady} ${this.appProblem} ${this.staleSinceMs === 0} ${this.config.persisted} ${this.config.appliedHash} ${this.state.appliedHash} ${this.vitals.warming.join()}`;
  }
}

/** A sidecar that enforces something of which nothing is known here: its sets are added to, its items are brought in full. */
const emptyView: EndpointView = { ...viewOfSets(new Map()), items: null };
/** Behind for longer than this, it is told when it is in sync again. */
const lateMs = 2_000;

const noNames: readonly string[] = [];

function boundedNames(names: readonly string[]): readonly string[] {
  return names.length === 0 ? noNames : names.slice(0, 64).map((name) => name.slice(0, 253));
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

/** Issuers whose keys a sidecar may tell the age of. */
const issuersMax = 64;
const appProblemMax = 512;
