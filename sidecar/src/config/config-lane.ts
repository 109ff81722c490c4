import type { Subject } from '@remora/core/subject';
import { compareVersions, formatVersion, noVersion, type Version } from '@remora/core/version';
import type { Begin, Commit, ControlMessage, ResourceChunk, SidecarMessage, Unchanged } from '@remora/proto/gen/remora/push/v1/push';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import { problem, type ConfigApplier } from './config-applier.ts';
import { IncomingUpdate } from './incoming-update.ts';
import type { RefusalMemory } from './refusal-memory.ts';
import { fromWireVersion, lanes, nackClasses, toWireHash, toWireVersion, type NackClass } from './wire-codes.ts';

/** A refusal as status shows it. */
export interface ConfigRefusal {
  readonly version: Version;
  readonly hash: string;
  readonly class: NackClass;
  readonly errors: readonly SnapshotError[];
  readonly atMs: number;
}

export interface ConfigLaneOptions {
  readonly subject: Subject;
  readonly applier: ConfigApplier;
  readonly refusals: Pick<RefusalMemory, 'add' | 'get'>;
  readonly wallMs: () => number;
  readonly pause: () => Promise<void>;
  /** Resolves when the endpoints and items that have come until now are in force, or refused: the content may need them from its first request on. */
  readonly stateApplied: () => Promise<void>;
  /** Whether the disk holds what is enforced. */
  readonly persisted: () => boolean;
  /** What is not warm yet, beside what data threads say. */
  readonly warming: () => readonly string[];
  readonly send: (message: SidecarMessage) => void;
  readonly onRefusal: (refusal: ConfigRefusal | null) => void;
}

/** Rounds of NeedHashes in one update: pages first, then what they name, then one in reserve. */
const missingRoundsMax = 3;
/** More are cheaper sent in full; the control plane answers up to this number. */
const missingHashesMax = 16_384;

/**
 * The config lane: collects updates, has them applied, answers each with exactly one Ack or Nack. A newer Begin aborts the
 * update that is being received; what is being applied is finished first.
 */
export class ConfigLane {
  readonly #options: ConfigLaneOptions;
  #incoming: IncomingUpdate | null = null;
  #missingRounds = 0;
  /** Received whole while another one is applied; only the newest is kept. */
  #waiting: IncomingUpdate | null = null;
  #busy = false;
  /** Highest version applied or confirmed on this stream. */
  #streamVersion: Version = noVersion;
  /** Answers belong to the stream that asked. */
  #stream = 0;

  constructor(options: ConfigLaneOptions) {
    this.#options = options;
  }

  /** A new stream begins: half updates of the old one are forgotten. */
  restart(): void {
    this.#stream++;
    this.#incoming = null;
    this.#waiting = null;
    this.#streamVersion = this.#options.applier.current?.version ?? noVersion;
  }

  /** True where the message was of this lane. */
  receive(message: ControlMessage): boolean {
    switch (message.body?.$case) {
      case 'begin':
        this.#begin(message.body.value);
        return true;
      case 'resource':
        this.#resource(message.body.value);
        return true;
      case 'commit':
        this.#commit(message.body.value);
        return true;
      case 'update':
        if (message.body.value.begin) this.#begin(message.body.value.begin);
        for (const chunk of message.body.value.resources) this.#resource(chunk);
        if (message.body.value.commit) this.#commit(message.body.value.commit);
        return true;
      case 'unchanged':
        if (message.body.value.lane !== lanes.config) return false;
        this.#unchanged(message.body.value);
        return true;
      case 'state':
      case 'heartbeat':
      case 'shed':
      case 'rejected':
      case 'safeToStop':
      case undefined:
        return false;
    }
  }

  #begin(begin: Begin): void {
    const update = new IncomingUpdate(begin);
    this.#incoming = null;
    this.#missingRounds = 0;
    const inForce = this.#options.applier.current?.candidate.hash ?? '';
    const before = this.#streamVersion;
    if (compareVersions(update.version, before) < 0) {
      return this.#nack(update, 'transient', [problem('version-went-back', `version ${formatVersion(update.version)} is older than ${formatVersion(before)}, which is enforced`)]);
    }
    if (update.base !== '' && update.base !== inForce) {
      return this.#nack(update, 'resync', [problem('unknown-base', `the update builds on ${update.base.slice(0, 12)}, enforced is ${inForce.slice(0, 12) || 'nothing'}`)]);
    }
    const remembered = this.#options.refusals.get(update.hash);
    if (remembered && update.hash !== inForce) {
      const errors = remembered.errors.length > 0 ? remembered.errors : [problem('refused-before', 'this build refused this content before')];
      return this.#nack(update, 'invalid', errors);
    }
    this.#incoming = update;
  }

  #resource(chunk: ResourceChunk): void {
    this.#incoming?.add(chunk.hash, chunk.bytes);
  }

  #commit(commit: Commit): void {
    const update = this.#incoming;
    if (!update || compareVersions(update.version, fromWireVersion(commit.version)) !== 0) return;
    this.#waiting = update;
    if (!this.#busy) void this.#work();
  }

  #unchanged(unchanged: Unchanged): void {
    const { applier, onRefusal } = this.#options;
    const version = fromWireVersion(unchanged.version);
    const hash = unchanged.hash.toString('hex');
    this.#incoming = null;
    const current = applier.current;
    if (!current || current.candidate.hash !== hash || this.#busy) {
      return this.#nack({ version, hash }, 'resync', [problem('not-applied', `${hash.slice(0, 12)} is not what is enforced`)]);
    }
    if (compareVersions(version, this.#streamVersion) < 0) {
      return this.#nack({ version, hash }, 'transient', [problem('version-went-back', `version ${formatVersion(version)} is older than ${formatVersion(this.#streamVersion)}`)]);
    }
    this.#streamVersion = version;
    if (compareVersions(version, current.version) > 0) applier.relabel(version);
    onRefusal(null);
    this.#ack(version, hash, current.warming, this.#options.persisted());
  }

  /** Applies what is complete, newest first, until nothing waits. */
  async #work(): Promise<void> {
    this.#busy = true;
    try {
      for (let update = this.#waiting; update; update = this.#waiting) {
        this.#waiting = null;
        await this.#apply(update, this.#stream);
      }
    } finally {
      this.#busy = false;
    }
  }

  async #apply(update: IncomingUpdate, stream: number): Promise<void> {
    const { applier, subject, pause, onRefusal, refusals } = this.#options;
    const steps = update.assemble(subject, applier.current?.candidate ?? null);
    let step = steps.next();
    while (!step.done) {
      await pause();
      step = steps.next();
    }
    const assembly = step.value;
    if (stream !== this.#stream) return;
    if (assembly.kind === 'damaged') return this.#reject(update, 'resync', [problem(assembly.code, assembly.message)]);
    if (assembly.kind === 'missing') return this.#askFor(update, assembly.hashes);
    if (this.#incoming === update) this.#incoming = null;
    await this.#options.stateApplied();
    if (stream !== this.#stream) return;
    const result = await applier.apply(assembly.candidate, update.granted);
    if (!result.ok) {
      if (result.class === 'invalid') refusals.add(update.hash, result.errors);
      if (stream === this.#stream) this.#reject(update, result.class, result.errors);
      return;
    }
    onRefusal(null);
    if (stream !== this.#stream) return;
    this.#streamVersion = update.version;
    this.#ack(update.version, update.hash, result.applied.warming, result.persisted);
  }

  #askFor(update: IncomingUpdate, hashes: readonly string[]): void {
    if (this.#incoming !== update) return;
    this.#missingRounds++;
    if (this.#missingRounds > missingRoundsMax || hashes.length > missingHashesMax) {
      return this.#reject(update, 'resync', [problem('missing-resource', `${hashes.length} resources are named by the manifest and were not sent`)]);
    }
    this.#options.send({ body: { $case: 'needHashes', value: { version: toWireVersion(update.version), hashes: hashes.map(toWireHash) } } });
  }

  #reject(update: IncomingUpdate, nackClass: NackClass, errors: readonly SnapshotError[]): void {
    if (this.#incoming === update) this.#incoming = null;
    this.#nack(update, nackClass, errors);
  }

  #ack(version: Version, hash: string, warming: readonly string[], persisted: boolean): void {
    this.#options.send({
      body: { $case: 'ack', value: { lane: lanes.config, version: toWireVersion(version), hash: toWireHash(hash), persisted, warming: [...warming, ...this.#options.warming()] } },
    });
  }

  #nack(update: { readonly version: Version; readonly hash: string }, nackClass: NackClass, errors: readonly SnapshotError[]): void {
    const { send, onRefusal, wallMs } = this.#options;
    onRefusal({ version: update.version, hash: update.hash, class: nackClass, errors, atMs: wallMs() });
    send({
      body: {
        $case: 'nack',
        value: {
          lane: lanes.config,
          version: toWireVersion(update.version),
          hash: toWireHash(update.hash),
          nackClass: nackClasses[nackClass],
          errors: errors.map((error) => ({ ...error, policies: [...error.policies] })),
        },
      },
    });
  }
}
