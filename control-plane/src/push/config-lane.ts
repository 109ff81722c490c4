import { compareVersions, formatVersion, noVersion, type Version } from '@remora/core/version';
import { Lane } from '@remora/proto/gen/remora/push/v1/push';
import type { BaseContent, Content } from './content.ts';
import type { DeltaPlan, DeltaPlans } from './delta-plans.ts';
import { encodeMessage, wireVersion, type ControlBody, type EncodedMessages } from './encoded-messages.ts';
import type { PushLimits } from './push-limits.ts';

/** What the lane should bring the sidecar to. */
export interface ConfigTarget {
  readonly version: Version;
  readonly content: Content;
  /** Guards that grants in the log lift on the way there. Sorted. */
  readonly grants: readonly string[];
  /** Older than the newest, because the sidecar's build refused that one. */
  readonly fallback: boolean;
}

/** Why the target is not being sent. */
export type Hold =
  | { readonly kind: 'guard'; readonly hash: string; readonly guards: readonly string[] }
  | { readonly kind: 'backoff'; readonly untilMs: number };

/** Resources up to this travel in one message; stated in push.proto. */
const wholeBytesMax = 32 * 1024;

interface InFlight {
  readonly target: ConfigTarget;
  readonly kind: 'update' | 'unchanged';
  /** The message before the resources; null where only what was missing follows. */
  readonly opening: Uint8Array | null;
  /** Resources still to be sent, shared by all streams on the same way. */
  readonly hashes: readonly string[];
  /** Number of messages, and of the next one. */
  readonly length: number;
  next: number;
  needRounds: number;
  progressMs: number;
}

/**
 * The config lane of one stream: at most one update without an answer, the newest target waits. It decides which message
 * is next and what an answer means; it neither sends nor keeps time.
 */
export class ConfigLane {
  readonly #messages: EncodedMessages;
  readonly #plans: DeltaPlans;
  readonly #limits: PushLimits;
  appliedVersion: Version = noVersion;
  /** Manifest hash in force, by the sidecar's own word; '' for nothing. */
  appliedHash = '';
  /** What is in force, where the control plane still knows it: the base of deltas. */
  appliedContent: BaseContent | null = null;
  persisted = false;
  hold: Hold | null = null;
  #target: ConfigTarget | null = null;
  #inFlight: InFlight | null = null;
  #greeted = false;
  #sendFull = false;
  #resyncs = 0;
  #failures = 0;

  constructor(deps: { readonly messages: EncodedMessages; readonly plans: DeltaPlans; readonly limits: PushLimits }) {
    this.#messages = deps.messages;
    this.#plans = deps.plans;
    this.#limits = deps.limits;
  }

  /** What Hello or a heartbeat says is in force. */
  believe(applied: { readonly version: Version; readonly hash: string; readonly persisted: boolean }, content: BaseContent | null): void {
    this.appliedVersion = applied.version;
    this.appliedHash = applied.hash;
    this.persisted = applied.persisted;
    this.appliedContent = content;
  }

  get target(): ConfigTarget | null {
    return this.#target;
  }

  /** Whether an update is out that has no answer yet. */
  get waiting(): boolean {
    return this.#inFlight !== null;
  }

  /** Since when there was neither progress in sending nor an answer; null where nothing is out. */
  get waitingSinceMs(): number | null {
    return this.#inFlight?.progressMs ?? null;
  }

  /**
   * The newest target; null holds everything. An update that is only partly sent is given up for it, one that is sent
   * is waited for. Answers whether one was given up.
   */
  aim(target: ConfigTarget | null): boolean {
    this.#target = target;
    const flight = this.#inFlight;
    if (!flight || sameTarget(flight.target, target) || isSent(flight)) return false;
    this.#inFlight = null;
    return flight.next > 0;
  }

  /** The message to send next, or null. `mayBegin` is asked before a new update starts. */
  next(nowMs: number, mayBegin: (content: Content) => boolean): { readonly bytes: Uint8Array; readonly starts: string | null } | null {
    const starts = this.#inFlight ? null : this.#begin(nowMs, mayBegin);
    const flight = this.#inFlight;
    if (!flight || isSent(flight)) return null;
    const bytes = this.#messageAt(flight, flight.next);
    flight.next++;
    flight.progressMs = nowMs;
    return { bytes, starts };
  }

  /** Null: it answers nothing that is out. */
  ack(version: Version, hash: string, persisted: boolean): { readonly target: ConfigTarget; readonly kind: 'update' | 'unchanged' } | null {
    const flight = this.#inFlight;
    if (!flight || !isSent(flight) || flight.target.content.hash !== hash || compareVersions(flight.target.version, version) !== 0) return null;
    this.#inFlight = null;
    this.appliedVersion = version;
    this.appliedHash = hash;
    this.appliedContent = flight.target.content;
    this.persisted = persisted;
    this.#settle();
    return { target: flight.target, kind: flight.kind };
  }

  /** Null: it answers nothing that is out. A refusal may come before Commit. */
  nack(version: Version, hash: string): { readonly target: ConfigTarget; readonly kind: 'update' | 'unchanged' } | null {
    const flight = this.#inFlight;
    if (!flight || compareVersions(flight.target.version, version) !== 0) return null;
    if (hash !== '' && hash !== flight.target.content.hash) return null;
    this.#inFlight = null;
    if (flight.kind === 'unchanged') this.#greeted = false;
    return { target: flight.target, kind: flight.kind };
  }

  /** After NACK `guard`: nothing until the content differs or the guards are granted. */
  waitForGrant(hash: string, guards: readonly string[]): void {
    this.hold = { kind: 'guard', hash, guards };
  }

  /** After NACK `resync`. Answers false for the third in a row, which is to be treated as `transient`. */
  resync(): boolean {
    this.#sendFull = true;
    this.#resyncs++;
    return this.#resyncs < 3;
  }

  /** After NACK `transient`: answers after how many ms to try again. `random` in [0, 1). */
  backOff(nowMs: number, random: number): number {
    const delayMs = Math.min(this.#limits.backoffMaxMs, this.#limits.backoffFirstMs * 2 ** Math.min(16, this.#failures));
    this.#failures++;
    const jittered = delayMs * (0.75 + 0.5 * random);
    this.hold = { kind: 'backoff', untilMs: nowMs + jittered };
    return jittered;
  }

  /** Sends what the sidecar lacks, and Commit again. False: not possible, a full update starts instead. */
  need(version: Version, hashes: readonly string[], nowMs: number): boolean {
    const flight = this.#inFlight;
    if (!flight || !isSent(flight) || flight.kind !== 'update' || compareVersions(flight.target.version, version) !== 0) return false;
    const { resources } = flight.target.content;
    const available = hashes.length <= this.#limits.needHashesMax && hashes.every((hash) => resources.has(hash));
    if (!available || flight.needRounds >= this.#limits.needRoundsMax) {
      this.#inFlight = null;
      this.#sendFull = true;
      return false;
    }
    this.#inFlight = { ...flight, opening: null, hashes, length: hashes.length + 1, next: 0, needRounds: flight.needRounds + 1, progressMs: nowMs };
    return true;
  }

  #settle(): void {
    this.hold = null;
    this.#sendFull = false;
    this.#resyncs = 0;
    this.#failures = 0;
  }

  #begin(nowMs: number, mayBegin: (content: Content) => boolean): string | null {
    const target = this.#target;
    if (!target) return null;
    if (this.#held(target, nowMs)) return null;
    if (target.content.hash === this.appliedHash && !this.#sendFull) return this.#beginUnchanged(target, nowMs);
    if (!mayBegin(target.content)) return null;
    this.#greeted = true;
    const base = this.#sendFull ? null : this.appliedContent;
    const plan = this.#plans.between(base, target.content);
    const flight = { target, kind: 'update', next: 0, needRounds: 0, progressMs: nowMs } as const;
    this.#inFlight = plan.bytes <= wholeBytesMax
      ? { ...flight, opening: this.#wholeUpdate(target, base, plan), hashes: [], length: 1 }
      : { ...flight, opening: this.#beginMessage(target, base, plan), hashes: plan.hashes, length: plan.hashes.length + 2 };
    return target.fallback ? 'config/fallback' : 'config/update';
  }

  #beginUnchanged(target: ConfigTarget, nowMs: number): string | null {
    const isNewer = compareVersions(target.version, this.appliedVersion) > 0;
    // Hello is always answered: then the sidecar knows that what it has is what it should have.
    if (!isNewer && this.#greeted) return null;
    this.#greeted = true;
    const version = isNewer ? target.version : this.appliedVersion;
    const { hash } = target.content;
    const opening = this.#messages.shared(`config unchanged ${formatVersion(version)} ${hash}`, () => ({
      $case: 'unchanged', value: { lane: Lane.LANE_CONFIG, version: wireVersion(version), hash: Buffer.from(hash, 'hex') },
    }));
    this.#inFlight = { target: { ...target, version }, kind: 'unchanged', opening, hashes: [], length: 1, next: 0, needRounds: 0, progressMs: nowMs };
    return 'config/unchanged';
  }

  #held(target: ConfigTarget, nowMs: number): boolean {
    const { hold } = this;
    if (!hold) return false;
    if (hold.kind === 'backoff') return nowMs < hold.untilMs;
    return hold.hash === target.content.hash && !hold.guards.every((guard) => target.grants.includes(guard));
  }

  #messageAt(flight: InFlight, at: number): Uint8Array {
    if (flight.opening && at === 0) return flight.opening;
    const { content, version } = flight.target;
    const hash = flight.hashes[flight.opening ? at - 1 : at];
    return hash === undefined ? this.#commitMessage(version) : this.#chunkMessage(content, hash);
  }

  #chunkMessage(content: Content, hash: string): Uint8Array {
    return this.#messages.chunk(hash, content.resources.get(hash) ?? new Uint8Array());
  }

  #commitMessage(version: Version): Uint8Array {
    return this.#messages.shared(`commit ${formatVersion(version)}`, () => ({ $case: 'commit', value: { version: wireVersion(version) } }));
  }

  /** Most updates: one message instead of a handful, which is what a push to thousands costs. */
  #wholeUpdate(target: ConfigTarget, base: BaseContent | null, plan: DeltaPlan): Uint8Array {
    return this.#messages.whole(keyOf(target, base), () => ({
      begin: encodeMessage(beginBody(target, base, plan)), commit: this.#commitMessage(target.version), hashes: plan.hashes, resources: target.content.resources,
    }));
  }

  #beginMessage(target: ConfigTarget, base: BaseContent | null, plan: DeltaPlan): Uint8Array {
    return this.#messages.shared(`begin ${keyOf(target, base)}`, () => beginBody(target, base, plan));
  }
}

function beginBody({ version, content, grants, fallback }: ConfigTarget, base: BaseContent | null, plan: DeltaPlan): ControlBody {
  const { manifest } = content;
  return {
    $case: 'begin',
    value: {
      lane: Lane.LANE_CONFIG, version: wireVersion(version), base: Buffer.from(base?.hash ?? '', 'hex'), hash: Buffer.from(content.hash, 'hex'),
      manifest: Buffer.from(manifest.buffer, manifest.byteOffset, manifest.byteLength), resourceCount: plan.hashes.length, resourceBytes: BigInt(plan.bytes),
      grantedGuards: [...grants], fallback,
    },
  };
}

function keyOf({ version, content, grants, fallback }: ConfigTarget, base: BaseContent | null): string {
  return `${formatVersion(version)} ${content.hash} ${base?.hash ?? ''} ${grants.join()} ${fallback}`;
}

function isSent(flight: InFlight): boolean {
  return flight.next >= flight.length;
}

function sameTarget(a: ConfigTarget, b: ConfigTarget | null): boolean {
  return b !== null && a.content.hash === b.content.hash && compareVersions(a.version, b.version) === 0 && a.fallback === b.fallback;
}
