import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Subject } from '@remora/core/subject';
import { compareVersions, formatVersion } from '@remora/core/version';
import type { Applied, ControlMessage, Hello, SidecarHeartbeat } from '@remora/proto/gen/remora/push/v1/push';
import type { BuildIdentity } from '@remora/snapshot/build';
import type { Candidate } from '@remora/snapshot/candidate';
import { controlPlaneTimeFacts } from '@remora/policy-kit/control-plane-time';
import type { RuntimeKinds } from '@remora/snapshot/decode';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import type { DataPlane } from '../threads/data-plane.ts';
import { noTracer, type OperationTracer } from '../telemetry/operation-tracer.ts';
import type { AppliedConfig } from './applied-config.ts';
import { CoalescedWriter } from './coalesced-writer.ts';
import { ConfigApplier } from './config-applier.ts';
import { ConfigLane, type ConfigRefusal } from './config-lane.ts';
import { ControlLink, defaultLinkTimes, type LinkStatus, type LinkTimes } from './control-link.ts';
import type { ControlConnector } from './control-stream.ts';
import type { ItemChecks } from './kept-items.ts';
import { RefusalMemory } from './refusal-memory.ts';
import type { DiskProblem, SnapshotDisk, StoredEndpoints, StoredNotes } from './snapshot-disk.ts';
import { SnapshotKeeper, type KeeperStatus } from './snapshot-keeper.ts';
import { StateLane, type ItemListener } from './state-lane.ts';
import { toWireHash, toWireVersion } from './wire-codes.ts';

/** What this instance tells of itself. */
export interface InstanceFacts {
  readonly nodeId: string;
  /** Grows with each start; without it, made from the clock and what the disk remembers. */
  readonly incarnation?: bigint;
  readonly subject: Subject;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: string;
  readonly protocols: readonly string[];
  /** Addresses callers reach it at; read at each Hello. */
  advertised(): readonly { readonly name: string; readonly host: string; readonly port: number; readonly plaintext?: boolean }[];
  /** Whether ports take mTLS that are not `plaintext`. Hello is only said when there is a certificate, where one is needed. */
  readonly mtls?: boolean;
  appReady(): boolean;
  /** Why it is not, in a few words; '' while it is. */
  appProblem?(): string;
}

export interface ProcessFacts {
  rssBytes(): number;
  /** Share of one core since the last call. */
  takeCpuShare(): number;
}

export interface ConfigClientOptions {
  readonly instance: InstanceFacts;
  readonly build: BuildIdentity;
  readonly kinds: RuntimeKinds;
  readonly dataPlane: DataPlane;
  readonly disk: SnapshotDisk;
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly processFacts: ProcessFacts;
  /** Lets other work of the thread run: `setImmediate` in production. */
  readonly pause: () => Promise<void>;
  readonly times?: LinkTimes;
  /** How long a swap waits for the disk. Default 1,000 ms. */
  readonly diskPatienceMs?: number;
  readonly tracer?: OperationTracer;
  /** What of items must hold before they are taken, by kind. */
  readonly itemChecks?: ItemChecks;
  /** See ApplierOptions.reach. */
  readonly reach?: (next: Snapshot) => Promise<readonly SnapshotError[] | null>;
  readonly onApplied?: (applied: AppliedConfig) => void;
  readonly onRefusal?: (refusal: ConfigRefusal) => void;
  /** What is not there yet of what policies need from others (keys of issuers), and how old what is there is, by issuer. */
  readonly issuerKeys?: { readonly warming: readonly string[]; readonly keyAgeSeconds: ReadonlyMap<string, number> };
  readonly onLink?: (status: LinkStatus) => void;
  /** How far the control plane's clock is ahead of our monotonic one, when it is first known and when it has changed; data threads are told by facts. */
  readonly onControlPlaneTime?: (aheadMs: number) => void;
  readonly onDisk?: (status: KeeperStatus) => void;
}

export interface RestoreReport {
  readonly from: 'current' | 'previous' | 'nothing';
  readonly problems: readonly DiskProblem[];
}

export interface ConfigStatus {
  readonly applied: AppliedConfig | null;
  readonly persisted: boolean;
  readonly diskAlarm: string | null;
  readonly lastRefusal: ConfigRefusal | null;
  readonly refusedHashes: readonly string[];
  readonly link: LinkStatus;
  readonly state: { readonly version: { readonly epoch: number; readonly index: number }; readonly hash: string; readonly services: number; readonly items: number; readonly itemBytes: number; readonly persisted: boolean };
}

const endpointsEveryMs = 1_000;
const notesEveryMs = 1_000;
const contactNotedEveryMs = 60_000;
const diskRetryMs = 5_000;

/**
 * The control thread's knowledge of what is enforced: restores it from disk, keeps in step with the control plane, and
 * says what is true. Everything outside is a parameter, so the simulator runs this code.
 */
export class ConfigClient {
  readonly #options: ConfigClientOptions;
  readonly #keeper: SnapshotKeeper;
  readonly #applier: ConfigApplier;
  readonly #configLane: ConfigLane;
  readonly #stateLane: StateLane;
  readonly #endpointWriter: CoalescedWriter<StoredEndpoints>;
  readonly #notesWriter: CoalescedWriter<StoredNotes>;
  #refusals = new RefusalMemory();
  #lastRefusal: ConfigRefusal | null = null;
  #lastContactMs = 0;
  #incarnation: number;
  #stallSinceBeat = 0;
  #stallMax = 0;
  #link: ControlLink | null = null;
  #contactTimer: { cancel(): void } | null = null;

  constructor(options: ConfigClientOptions) {
    this.#options = options;
    this.#incarnation = Number(options.instance.incarnation ?? Math.round(options.clock.wallMs()));
    const { dataPlane, kinds, clock, timers, pause, disk } = options;
    this.#keeper = new SnapshotKeeper({
      disk, timers, patienceMs: options.diskPatienceMs ?? 1_000, retryMs: diskRetryMs, onStatus: (status) => options.onDisk?.(status),
    });
    this.#applier = new ConfigApplier({
      dataPlane, kinds, clock, pause, keeper: this.#keeper, onApplied: (applied) => this.#onApplied(applied),
      tracer: options.tracer ?? noTracer, reach: options.reach ?? (() => Promise.resolve(null)),
    });
    this.#endpointWriter = new CoalescedWriter({ write: (endpoints) => disk.writeEndpoints(endpoints), timers, intervalMs: endpointsEveryMs });
    this.#notesWriter = new CoalescedWriter({ write: (notes) => disk.writeNotes(notes), timers, intervalMs: notesEveryMs });
    this.#configLane = new ConfigLane({
      subject: options.instance.subject,
      applier: this.#applier,
      refusals: { add: (hash, errors) => this.#refuse(hash, errors), get: (hash) => this.#refusals.get(hash) },
      wallMs: () => clock.wallMs(),
      pause,
      stateApplied: () => this.#stateLane.settled,
      persisted: () => this.#keeper.status.persisted,
      warming: () => this.#options.issuerKeys?.warming ?? [],
      send: (message) => this.#link?.send(message),
      onRefusal: (refusal) => this.#onRefusal(refusal),
    });
    this.#stateLane = new StateLane({
      dataPlane,
      send: (message) => this.#link?.send(message),
      onApplied: (endpoints) => this.#endpointWriter.put(endpoints),
      persisted: () => this.#endpointWriter.persisted,
      ...(options.itemChecks && { itemChecks: options.itemChecks }),
    });
  }

  get applied(): AppliedConfig | null {
    return this.#applier.current;
  }

  /** Grows with each start, also when the clock went back meanwhile. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** Longest stall of a data thread since the start, in milliseconds. */
  get stallMsMax(): number {
    this.#readStall();
    return this.#stallMax;
  }

  get endpointSets(): ReadonlyMap<string, Uint8Array> {
    return this.#stateLane.sets;
  }

  /** Items of the state lane of one kind: what is known now, and after each change (see StateLane.onItem). Answers how to stop. */
  onItem(kind: string, listener: ItemListener): () => void {
    return this.#stateLane.onItem(kind, listener);
  }

  get status(): ConfigStatus {
    const { version, hash, sets, items } = this.#stateLane;
    return {
      applied: this.#applier.current,
      persisted: this.#keeper.status.persisted,
      diskAlarm: this.#keeper.status.alarm ?? this.#endpointWriter.alarm ?? this.#notesWriter.alarm,
      lastRefusal: this.#lastRefusal,
      refusedHashes: this.#refusals.hashes(),
      link: this.#link?.status ?? { connected: false, address: '', staleSinceMs: this.#lastContactMs, lastEnd: '', rejected: null, attempts: 0, clockOffsetMs: null },
      state: { version, hash, services: sets.size, items: items.size, itemBytes: items.bytes, persisted: this.#endpointWriter.persisted },
    };
  }

  /** Enforces the newest usable snapshot of the disk, with its endpoints. Never rejects because of what the disk holds. */
  async restore(): Promise<RestoreReport> {
    const { disk, build } = this.#options;
    const [{ candidates, problems, newestWrittenMs }, endpoints, { notes, problem }] = await Promise.all([disk.load(), disk.loadEndpoints(), disk.loadNotes()]);
    const found: DiskProblem[] = [...problems];
    for (const each of [endpoints.problem, problem]) if (each) found.push(each);
    // Notes follow a second behind; a snapshot came from somebody too.
    this.#lastContactMs = Math.max(notes?.lastContactMs ?? 0, newestWrittenMs ?? 0);
    if (notes) {
      this.#incarnation = Math.max(this.#incarnation, notes.incarnation + 1);
      // Another build may understand what this one's predecessor refused.
      this.#refusals = new RefusalMemory(notes.refused.filter((each) => each.build === build.id).map((each) => each.hash));
    }
    if (endpoints.endpoints) await this.#restoreEndpoints(endpoints.endpoints, found);
    const from = await this.#restoreSnapshot(candidates, notes, found);
    this.#note();
    return { from, problems: found };
  }

  async #useTime(aheadMs: number): Promise<void> {
    this.#options.onControlPlaneTime?.(aheadMs);
    try {
      await this.#options.dataPlane.useFacts(controlPlaneTimeFacts(aheadMs));
    } catch {
      // Data threads that go are told when they come back; those that stay, with the next heartbeat.
      this.#link?.tellTimeAgain();
    }
  }

  /** Opens the stream, and keeps it. */
  connect(connector: ControlConnector): void {
    const { addresses, clock, timers, random, times, onLink } = this.#options;
    this.#link = new ControlLink({
      connector, addresses, clock, timers, random, times: times ?? defaultLinkTimes, lastContactMs: this.#lastContactMs,
      hello: (leaving) => this.#hello(leaving),
      heartbeat: () => this.#heartbeat(),
      onOpen: () => {
        this.#configLane.restart();
        this.#stateLane.restart();
      },
      onMessage: (message) => this.#receive(message),
      onTime: (aheadMs) => void this.#useTime(aheadMs),
      onStatus: (status) => {
        // At the beginning too: one that is killed soon after its first contact knows then since when it is stale.
        this.#note();
        onLink?.(status);
      },
    });
    this.#contactTimer = timers.every(contactNotedEveryMs, () => {
      if (this.#link?.status.connected) this.#note();
    });
    this.#link.start();
  }

  /** What Hello says has changed: says it again. */
  renewHello(): void {
    this.#link?.renew();
  }

  /** Something of the heartbeat changed that should be known at once: readiness of the app. */
  beat(): void {
    if (this.#link?.status.connected) this.#link.send({ body: { $case: 'heartbeat', value: this.#heartbeat() } });
  }

  /** See ControlLink.leave. */
  async leave(deadlineMs: number): Promise<readonly string[] | null> {
    return this.#link ? this.#link.leave(deadlineMs) : null;
  }

  /** Ends the stream and writes what waits. */
  async close(): Promise<void> {
    this.#contactTimer?.cancel();
    if (this.#link) this.#note();
    this.#link?.close();
    await Promise.all([this.#keeper.close(), this.#flushWithin(this.#options.diskPatienceMs ?? 1_000)]);
    // A disk that hangs is not waited for: the process ends, and with it what is open.
    void this.#options.disk.close();
  }

  /** Cut off at once, as by kill -9: writes nothing more. For the simulator and for a second signal. */
  abandon(): void {
    this.#contactTimer?.cancel();
    this.#link?.close();
    this.#endpointWriter.stop();
    this.#notesWriter.stop();
  }

  #receive(message: ControlMessage): void {
    if (!this.#stateLane.receive(message)) this.#configLane.receive(message);
  }

  async #restoreEndpoints(stored: StoredEndpoints, problems: DiskProblem[]): Promise<void> {
    try {
      await this.#stateLane.restore(stored);
    } catch (error) {
      problems.push({ file: 'endpoints.current', code: 'not-applied', message: error instanceof Error ? error.message : String(error) });
    }
  }

  async #restoreSnapshot(candidates: readonly Candidate[], notes: StoredNotes | null, problems: DiskProblem[]): Promise<RestoreReport['from']> {
    for (const candidate of candidates) {
      const label = notes?.label?.hash === candidate.hash && compareVersions(notes.label.version, candidate.version) > 0 ? notes.label.version : candidate.version;
      const result = await this.#applier.restore(candidate, label);
      if (result.ok) return problems.some(({ file }) => file.startsWith('snapshot')) ? 'previous' : 'current';
      const [first] = result.errors;
      problems.push({ file: `snapshot ${formatVersion(candidate.version)}`, code: first?.code ?? result.class, message: first?.message ?? 'it cannot be enforced' });
    }
    return 'nothing';
  }

  #onApplied(applied: AppliedConfig): void {
    const { candidate, version } = applied;
    if (compareVersions(version, candidate.version) > 0) this.#note();
    this.#options.onApplied?.(applied);
  }

  #onRefusal(refusal: ConfigRefusal | null): void {
    this.#lastRefusal = refusal;
    if (refusal) this.#options.onRefusal?.(refusal);
  }

  #refuse(hash: string, errors: Parameters<RefusalMemory['add']>[1]): void {
    this.#refusals.add(hash, errors);
    this.#note();
  }

  #note(): void {
    const { build } = this.#options;
    const applied = this.#applier.current;
    this.#notesWriter.put({
      incarnation: this.#incarnation,
      lastContactMs: Math.round(this.#link?.lastContactMs ?? this.#lastContactMs),
      label: applied ? { hash: applied.candidate.hash, version: applied.version } : null,
      refused: this.#refusals.hashes().map((hash) => ({ hash, build: build.id })),
    });
  }

  async #flushWithin(limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.timers.after(limitMs, resolve);
    await Promise.race([Promise.all([this.#endpointWriter.flush(), this.#notesWriter.flush()]), promise]);
    timer.cancel();
    this.#endpointWriter.stop();
    this.#notesWriter.stop();
  }

  #hello(leaving: boolean): Hello {
    const { instance, build } = this.#options;
    return {
      nodeId: instance.nodeId,
      incarnation: BigInt(this.#incarnation),
      subjectKind: instance.subject.kind,
      subjectName: instance.subject.name,
      advertised: instance.advertised().map(({ name, host, port, plaintext = false }) => ({ name, host, port, protocols: [], ...(plaintext && { plaintext }) })),
      labels: Object.entries(instance.labels).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => ({ key, value })),
      locality: instance.locality,
      build: {
        version: build.version,
        format: build.format,
        kinds: [...build.kinds].map(([kind, format]) => ({ kind, format })),
        id: toWireHash(build.id),
      },
      config: this.#configApplied(),
      state: this.#stateApplied(),
      refusedHashes: this.#refusals.hashes().map(toWireHash),
      protocols: [...instance.protocols],
      appReady: instance.appReady(),
      mtls: instance.mtls ?? false,
      staleSinceMs: BigInt(Math.round(this.#link?.status.staleSinceMs ?? this.#lastContactMs)),
      leaving,
    };
  }

  #heartbeat(): SidecarHeartbeat {
    const { instance, clock, processFacts } = this.#options;
    this.#readStall();
    const stallMs = this.#stallSinceBeat;
    this.#stallSinceBeat = 0;
    return {
      config: this.#configApplied(),
      state: this.#stateApplied(),
      clockMs: BigInt(Math.round(clock.wallMs())),
      rssBytes: BigInt(Math.round(processFacts.rssBytes())),
      cpuShare: processFacts.takeCpuShare(),
      appReady: instance.appReady(),
      appProblem: instance.appProblem?.() ?? '',
      staleSinceMs: BigInt(Math.round(this.#link?.status.staleSinceMs ?? 0)),
      stallMs,
      keyAgeSeconds: Object.fromEntries([...(this.#options.issuerKeys?.keyAgeSeconds ?? [])].map(([issuer, seconds]) => [issuer, BigInt(seconds)])),
      warming: [...(this.#applier.current?.warming ?? []), ...(this.#options.issuerKeys?.warming ?? [])],
    };
  }

  #readStall(): void {
    const stallMs = this.#options.dataPlane.takeStallMs();
    this.#stallSinceBeat = Math.max(this.#stallSinceBeat, stallMs);
    this.#stallMax = Math.max(this.#stallMax, stallMs);
  }

  #configApplied(): Applied | undefined {
    const applied = this.#applier.current;
    if (!applied) return undefined;
    return { version: toWireVersion(applied.version), hash: toWireHash(applied.candidate.hash), persisted: this.#keeper.status.persisted };
  }

  #stateApplied(): Applied | undefined {
    const { version, hash } = this.#stateLane;
    if (hash === '') return undefined;
    return { version: toWireVersion(version), hash: toWireHash(hash), persisted: this.#endpointWriter.persisted };
  }
}
