import type { Clock } from '@remora/core/clock';
import { formatVersion, type Version } from '@remora/core/version';
import type { Candidate } from '@remora/snapshot/candidate';
import { decodeInSlices, type RuntimeKinds } from '@remora/snapshot/decode';
import { DecodeCache } from '@remora/snapshot/decode-cache';
import { checkGuards, summarize } from '@remora/snapshot/guards';
import type { SnapshotError } from '@remora/snapshot/snapshot-error';
import type { Snapshot } from '@remora/snapshot/snapshot';
import type { DataPlane } from '../threads/data-plane.ts';
import type { Operation, OperationTracer } from '../telemetry/operation-tracer.ts';
import type { AppliedConfig } from './applied-config.ts';
import type { SnapshotKeeper } from './snapshot-keeper.ts';
import type { NackClass } from './wire-codes.ts';

export type ApplyResult =
  | { readonly ok: true; readonly applied: AppliedConfig; readonly persisted: boolean }
  | { readonly ok: false; readonly class: NackClass; readonly errors: readonly SnapshotError[] };

export interface ApplierOptions {
  readonly dataPlane: DataPlane;
  readonly kinds: RuntimeKinds;
  readonly keeper: SnapshotKeeper;
  readonly clock: Clock;
  /** Lets other work of the thread run. */
  readonly pause: () => Promise<void>;
  readonly onApplied: (applied: AppliedConfig) => void;
  readonly tracer: OperationTracer;
  /** Binds what the next snapshot listens on, beside what is bound. null: done; else why not, and nothing changed. */
  readonly reach: (next: Snapshot) => Promise<readonly SnapshotError[] | null>;
}

const sliceMs = 8;

/**
 * The one way from bytes to enforcement: decode, guards, prepare in every worker while the candidate is written, swap,
 * mark as good. Anything that fails before the swap leaves what serves untouched. One application at a time.
 */
export class ConfigApplier {
  readonly #options: ApplierOptions;
  readonly #cache = new DecodeCache();
  #current: AppliedConfig | null = null;
  #running = false;

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  get current(): AppliedConfig | null {
    return this.#current;
  }

  /** From the stream. `granted`: guards that the log lifts for this version. */
  async apply(candidate: Candidate, granted: ReadonlySet<string>): Promise<ApplyResult> {
    const operation = this.#options.tracer.begin('snapshot.apply', { 'remora.version': formatVersion(candidate.version), 'remora.hash': candidate.hash });
    const result = await this.#exclusively(() => this.#apply(candidate, granted, operation));
    operation.end(result.ok ? undefined : result.class);
    return result;
  }

  async #apply(candidate: Candidate, granted: ReadonlySet<string>, operation: Operation): Promise<ApplyResult> {
    // What came over the stream was checked against its hashes when it came.
    const decoded = await step(operation, 'decode', this.#decode(candidate, { hashesVerified: true }));
    if (!decoded.ok) return refused(decoded.class, decoded.errors);
    const dangers = checkGuards(this.#current?.summary ?? null, summarize(decoded.snapshot), granted);
    if (dangers.length > 0) {
      return refused('guard', dangers.map(({ guard, message }) => problem(guard, `${message}; force=${guard} allows it`)));
    }
    // The disk works while the workers build: an fsync costs about as much as building a usual snapshot.
    const [prepared] = await Promise.all([
      step(operation, 'prepare', this.#prepare(candidate)),
      step(operation, 'write', this.#options.keeper.stage(candidate)),
    ]);
    if (prepared) return prepared;
    const unreached = await this.#options.reach(decoded.snapshot);
    if (unreached) {
      this.#options.dataPlane.discard(candidate.hash);
      // A port in use may be free in a moment, so the content itself is not refused.
      return refused('transient', unreached);
    }
    const swapped = await step(operation, 'swap', this.#swap(candidate, decoded.snapshot, 'control-plane'));
    if (!swapped.ok) return swapped;
    const persisted = await step(operation, 'mark-good', this.#options.keeper.promote(candidate));
    return { ok: true, applied: swapped.applied, persisted };
  }

  /** What was found on disk: neither guards nor writing. `version` may be newer than the candidate's. */
  async restore(candidate: Candidate, version: Version): Promise<ApplyResult> {
    return this.#exclusively(async () => {
      const decoded = await this.#decode(candidate, { hashesVerified: false });
      if (!decoded.ok) return refused(decoded.class, decoded.errors);
      const prepared = await this.#prepare(candidate);
      if (prepared) return prepared;
      const swapped = await this.#swap({ ...candidate, version }, decoded.snapshot, 'disk');
      if (!swapped.ok) return swapped;
      this.#options.keeper.adopt(swapped.applied.candidate);
      return { ok: true, applied: swapped.applied, persisted: true };
    });
  }

  /** The same content was confirmed under a newer version. */
  relabel(version: Version): void {
    if (!this.#current) return;
    this.#options.dataPlane.relabel(version);
    this.#current = { ...this.#current, version };
    this.#options.onApplied(this.#current);
  }

  async #exclusively(run: () => Promise<ApplyResult>): Promise<ApplyResult> {
    if (this.#running) throw new Error('invariant: two snapshots are being applied at once');
    this.#running = true;
    try {
      return await run();
    } finally {
      this.#running = false;
    }
  }

  async #decode(candidate: Candidate, { hashesVerified }: { readonly hashesVerified: boolean }): Promise<{ ok: true; snapshot: Snapshot } | { ok: false; class: NackClass; errors: readonly SnapshotError[] }> {
    const { kinds, clock, pause } = this.#options;
    this.#cache.age();
    const result = await decodeInSlices(candidate, kinds, { cache: this.#cache, hashesVerified, sliceMs, clock, pause });
    if (result.ok) return result;
    const damaged = result.errors.every(({ code }) => damageCodes.has(code));
    return { ok: false, class: damaged ? 'resync' : 'invalid', errors: result.errors };
  }

  /** null: prepared. */
  async #prepare(candidate: Candidate): Promise<Exclude<ApplyResult, { ok: true }> | null> {
    const { dataPlane } = this.#options;
    try {
      const prepared = await dataPlane.prepare(candidate);
      if (prepared.ok) return null;
      dataPlane.discard(candidate.hash);
      return refused('invalid', prepared.errors);
    } catch (error) {
      dataPlane.discard(candidate.hash);
      return refused('transient', [problem('prepare-failed', message(error))]);
    }
  }

  async #swap(candidate: Candidate, snapshot: Snapshot, origin: AppliedConfig['origin']): Promise<{ ok: true; applied: AppliedConfig } | Exclude<ApplyResult, { ok: true }>> {
    const { dataPlane, clock, onApplied } = this.#options;
    try {
      const { warming } = await dataPlane.swap(candidate.hash, candidate.version);
      const applied = { candidate, snapshot, summary: summarize(snapshot), version: candidate.version, warming, sinceMs: clock.wallMs(), origin };
      this.#current = applied;
      onApplied(applied);
      return { ok: true, applied };
    } catch (error) {
      dataPlane.discard(candidate.hash);
      return refused('transient', [problem('swap-failed', message(error))]);
    }
  }
}

/** The bytes are not what the control plane has: sending them again in full helps. */
const damageCodes: ReadonlySet<string> = new Set(['hash-mismatch', 'missing-resource', 'unreachable-resource', 'more-errors']);

export function problem(code: string, message: string): SnapshotError {
  return { resource: 'manifest', kind: '', pointer: '', code, message, policies: [] };
}

async function step<T>(operation: Operation, name: string, work: Promise<T>): Promise<T> {
  const part = operation.begin(name);
  try {
    return await work;
  } finally {
    part.end();
  }
}

function refused(nackClass: NackClass, errors: readonly SnapshotError[]): Exclude<ApplyResult, { ok: true }> {
  return { ok: false, class: nackClass, errors };
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
