import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { Model } from '@remora/model/model';
import type { BackgroundWork } from '../background/work-lease.ts';
import type { Store } from '../store/store.ts';
import type { TargetTotals } from '../telemetry/target-totals.ts';
import type { WritePath } from '../write/write-path.ts';
import type { CanaryBook } from './canary-book.ts';
import { canaryPlan } from './canary-plan.ts';
import { isLive, madeItsRoute } from './canary-run.ts';
import type { CanaryRun, CanaryVerdict } from './canary-run.ts';
import { decided, sidesOf } from './canary-decisions.ts';
import { originalRoutes } from './canary-routes.ts';
import { startProblems } from './canary-start-check.ts';
import { CanaryWrites } from './canary-writes.ts';
import { decide } from './gate-engine.ts';
import type { GateDecision, StepMeasurement } from './gate-engine.ts';
import { sameRollout } from './same-rollout.ts';
import { StepMeter } from './step-meter.ts';

export interface CanaryRunnerDeps {
  readonly book: CanaryBook;
  readonly store: Pick<Store, 'documents' | 'lastChange'>;
  readonly writePath: Pick<WritePath, 'write'>;
  readonly model: Pick<Model, 'validateDocument' | 'canonicallyEqual'>;
  readonly targets: Pick<TargetTotals, 'read'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly alarm: (error: unknown) => void;
}

/** What people tell a canary. */
export type CanaryOrder =
  /** Approves the step that waits for it, or will; a step that needs no approval, or `now`: goes on at once, unless a gate has failed. */
  | { readonly kind: 'promote'; readonly now: boolean }
  | { readonly kind: 'pause' | 'resume' | 'abort' };

/** Why an order cannot be followed; nothing was changed. */
export class CanaryOrderError extends Error {
  readonly code: 'canary-over' | 'canary-not-begun' | 'not-working';

  constructor(code: CanaryOrderError['code'], message: string) {
    super(message);
    this.name = 'CanaryOrderError';
    this.code = code;
  }
}

/** How often each canary is looked at. Reports of sidecars come every 5 s. */
const lookEveryMs = 1_000;
/** After a refused write. */
const againMs = 5_000;
/** How often figures are written down while nothing is decided. */
const noteEveryMs = 5_000;

/**
 * Runs the Canaries, one process of a store at a time: enters steps, measures, does what the gate engine decides. Each move is written into the run
 * first, then into the Routes as a revision by `canary/NAME`, then into the run again: whoever goes on after a crash repeats at most what changes
 * nothing. A Canary begins with the revision that writes it, except one that came back by a revert or restore-to.
 */
export class CanaryRunner implements BackgroundWork {
  readonly name = 'canaries';
  readonly #deps: CanaryRunnerDeps;
  readonly #writes: CanaryWrites;
  /** As the documents are; null: not known yet. */
  #documents: ReadonlyMap<string, CanaryDocument> | null = null;
  readonly #steps = new Map<string, StepInForce>();
  /** Not before this time, monotonic. */
  readonly #again = new Map<string, number>();
  #timer: Timer | null = null;
  #turn: Promise<void> | null = null;
  /** Somebody asked for a look since the last one began. */
  #asked = false;

  constructor(deps: CanaryRunnerDeps) {
    this.#deps = deps;
    this.#writes = new CanaryWrites(deps);
  }

  /** Whether this process does the work. */
  get working(): boolean {
    return this.#timer !== null;
  }

  start(): void {
    this.#deps.book.reload();
    this.#timer = this.#deps.timers.every(lookEveryMs, () => void this.look());
    this.#match();
    void this.look();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#steps.clear();
    this.#again.clear();
  }

  /** The documents are these now. Runs begin here, in the turn of their revision: no other write comes between. */
  follow(documents: ReadonlyMap<string, CanaryDocument>): void {
    this.#documents = documents;
    if (!this.working) return;
    this.#match();
    void this.look();
  }

  /** Resolves when every canary was looked at, and what there was to do is done or refused. */
  look(): Promise<void> {
    this.#asked = true;
    this.#turn ??= this.#lookWhileAsked().catch(this.#deps.alarm).finally(() => { this.#turn = null; });
    return this.#turn;
  }

  /** Durable when it returns. Throws CanaryOrderError. */
  order(name: string, order: CanaryOrder, by: string): CanaryRun {
    if (!this.working) throw new CanaryOrderError('not-working', 'another control plane of this store runs the canaries, or this one is starting');
    const run = this.#deps.book.get(name);
    if (run === null) throw new CanaryOrderError('canary-not-begun', `Canary/${name} has not begun: there is nothing to ${order.kind} yet. It begins as soon as this control plane has its documents and can write to its disk`);
    if (run.phase !== 'running') throw new CanaryOrderError('canary-over', `Canary/${name} is ${run.phase}: there is nothing to ${order.kind}`);
    const next = this.#ordered(run, order, by);
    this.#deps.book.save(next);
    this.#again.delete(name);
    void this.look();
    return next;
  }

  /** What the gates say of the step now; null where there is no step to judge. Changes nothing. */
  judge(run: CanaryRun): { readonly decision: GateDecision; readonly measured: StepMeasurement } | null {
    const inForce = this.#steps.get(run.name);
    if (run.phase !== 'running' || run.enteredAtMs === null || inForce === undefined) return null;
    const nowMs = this.#deps.clock.wallMs();
    const found = inForce.meter.measure();
    // Reports are dated by a clock that never steps, runs by one that outlives the process.
    const measured = { ...found, reportedAtMs: nowMs - (this.#deps.clock.monotonicMs() - found.reportedAtMs) };
    const { step, paused, order } = run;
    return { measured, decision: decide(canaryPlan(run.document).plan, { step, sinceMs: nowMs - (this.#deps.clock.monotonicMs() - inForce.sinceMs), paused, order }, measured, nowMs) };
  }

  #ordered(run: CanaryRun, order: CanaryOrder, by: string): CanaryRun {
    switch (order.kind) {
      case 'pause':
        return { ...run, paused: true, orderedBy: by };
      case 'resume':
        return { ...run, paused: false, orderedBy: by };
      case 'abort':
        return this.#reverting(run, { end: 'aborted', sentence: `aborted by ${by}`, by });
      case 'promote': {
        const { approval } = canaryPlan(run.document).plan.steps[run.step] ?? { approval: false };
        return approval && !order.now ? { ...run, order: 'approve', orderedBy: by } : { ...run, order: 'promote', paused: false, orderedBy: by };
      }
    }
  }

  /** Runs that begin, and those whose document is gone. */
  #match(): void {
    const { book, alarm } = this.#deps;
    if (this.#documents === null) return;
    try {
      for (const run of book.all()) if (!this.#documents.has(run.name)) this.#undocumented(run);
      for (const [name, document] of this.#documents) {
        const run = book.get(name);
        if (run === null || (!isLive(run) && !sameRollout(run.document, document, this.#deps.model.canonicallyEqual))) this.#begin(document);
      }
    } catch (error) {
      // The disk refuses: the next look tries again.
      alarm(error);
    }
  }

  #undocumented(run: CanaryRun): void {
    if (run.phase === 'running') this.#deps.book.save(this.#reverting(run, { end: 'aborted', sentence: 'its document was deleted', by: '' }));
    else if (!isLive(run)) this.#drop(run.name);
  }

  #begin(document: CanaryDocument): void {
    const { book, store, clock } = this.#deps;
    const documents = store.documents();
    const [problem] = startProblems(document, documents, madeItsRoute(book.get(document.name)));
    const came = store.lastChange(`Canary/${document.name}`)?.kind;
    const nowMs = clock.wallMs();
    const run: CanaryRun = {
      name: document.name, document, startedAtMs: nowMs, phase: 'running', step: 0, enteredAtMs: null, paused: false, order: 'none', orderedBy: '',
      routes: originalRoutes(document, documents), carried: noFigures, verdict: null, endedAtMs: null, blocked: '', decisions: [],
    };
    const back = came === 'revert' || came === 'restore-to' || came === 'restored';
    const against = back ? `it came back by a ${came}: apply it with other steps, or delete it and apply it again, to run it` : problem?.message;
    if (against === undefined) book.save(decided(run, { action: 'advance', because: 'started', sentence: 'begins', findings: [] }, nowMs));
    else book.save(decided({ ...run, phase: 'aborted', endedAtMs: nowMs, verdict: { end: 'aborted', sentence: against, by: '' } }, { action: 'abort', because: 'restored', sentence: against, findings: [] }, nowMs));
    this.#steps.delete(document.name);
    this.#again.delete(document.name);
  }

  async #lookWhileAsked(): Promise<void> {
    while (this.#asked) {
      this.#asked = false;
      await this.#lookAtAll();
    }
  }

  async #lookAtAll(): Promise<void> {
    this.#match();
    for (const { name } of this.#deps.book.all()) {
      try {
        while (this.working && this.#due(name) && await this.#move(name));
      } catch (error) {
        this.#deps.alarm(error);
      }
    }
  }

  #due(name: string): boolean {
    return (this.#again.get(name) ?? 0) <= this.#deps.clock.monotonicMs();
  }

  /** Whether there may be something else to do at once. */
  async #move(name: string): Promise<boolean> {
    const run = this.#deps.book.get(name);
    if (run === null || this.#documents === null) return false;
    switch (run.phase) {
      case 'running':
        return run.enteredAtMs === null ? this.#enter(run) : this.#judge(run);
      case 'completing':
        return this.#write(run, (writes) => writes.complete(run), (now, nowMs) => ({ ...now, phase: 'completed', endedAtMs: nowMs }));
      case 'reverting':
        return this.#write(run, (writes) => writes.revert(run), (now, nowMs) => ({ ...now, phase: run.verdict?.end ?? 'aborted', endedAtMs: nowMs }));
      case 'completed':
      case 'aborted':
      case 'failed':
        return false;
    }
  }

  #enter(run: CanaryRun): Promise<boolean> {
    return this.#write(run, (writes) => writes.enter(run), (now, nowMs) => ({ ...now, enteredAtMs: nowMs, carried: noFigures }));
  }

  /** Writes Routes, then what follows from it, unless somebody decided otherwise meanwhile. */
  async #write(run: CanaryRun, write: (writes: CanaryWrites) => Promise<string | null>, then: (now: CanaryRun, nowMs: number) => CanaryRun): Promise<boolean> {
    const { book, clock } = this.#deps;
    const refused = await write(this.#writes);
    const now = book.get(run.name);
    if (now === null || !this.working) return false;
    if (refused !== null) {
      this.#again.set(run.name, clock.monotonicMs() + againMs);
      if (now.blocked !== refused) book.save({ ...now, blocked: refused });
      return false;
    }
    if (now.phase !== run.phase || now.step !== run.step) return true;
    const next = then({ ...now, blocked: '' }, clock.wallMs());
    book.save(next);
    this.#steps.delete(run.name);
    if (!isLive(next) && this.#documents?.has(run.name) === false) this.#drop(run.name);
    return next.phase === 'running';
  }

  #judge(run: CanaryRun): boolean {
    const step = this.#stepOf(run);
    const found = this.judge(run);
    if (found === null) return false;
    const { decision, measured } = found;
    const { book, clock } = this.#deps;
    const nowMs = clock.wallMs();
    const carried = { candidate: measured.candidate ?? run.carried.candidate, stable: measured.stable ?? run.carried.stable };
    const next = decided({ ...run, carried }, decision, nowMs, sidesOf(measured));
    switch (decision.action) {
      case 'abort':
        book.save(this.#reverting(next, { end: 'failed', sentence: decision.sentence, by: '' }));
        return true;
      case 'advance':
        book.save(this.#advanced(next, decision));
        return true;
      case 'hold':
        if (next.decisions !== run.decisions) book.save(next);
        else if (Math.abs(nowMs - step.notedAtMs) >= noteEveryMs) {
          step.notedAtMs = nowMs;
          book.note(next);
        }
        return false;
    }
  }

  #advanced(run: CanaryRun, { sentence }: GateDecision): CanaryRun {
    const { weights } = canaryPlan(run.document);
    const cleared = { ...run, order: 'none', enteredAtMs: null, blocked: '' } as const;
    if (run.step + 1 < weights.length) return { ...cleared, step: run.step + 1 };
    return { ...cleared, phase: 'completing', enteredAtMs: run.enteredAtMs, verdict: { end: 'completed', sentence, by: run.order === 'none' ? '' : run.orderedBy } };
  }

  #reverting(run: CanaryRun, verdict: CanaryVerdict): CanaryRun {
    const next: CanaryRun = { ...run, phase: 'reverting', verdict, paused: false, order: 'none', blocked: '' };
    return verdict.end === 'failed' ? next : decided({ ...next, orderedBy: verdict.by }, { action: 'abort', because: verdict.by === '' ? 'deleted' : 'aborted', sentence: verdict.sentence, findings: [] }, this.#deps.clock.wallMs());
  }

  /** The meter of the step that is in force: begun with it, or after a restart with what was written down. */
  #stepOf(run: CanaryRun): StepInForce {
    const known = this.#steps.get(run.name);
    if (known !== undefined) return known;
    const { service } = run.document;
    const meter = new StepMeter((side) => this.#deps.targets.read(service, run.document[side].labels));
    meter.begin(run.carried);
    const { clock } = this.#deps;
    const nowMs = clock.wallMs();
    const made = { meter, notedAtMs: nowMs, sinceMs: clock.monotonicMs() - Math.max(0, nowMs - (run.enteredAtMs ?? nowMs)) };
    this.#steps.set(run.name, made);
    return made;
  }

  #drop(name: string): void {
    this.#deps.book.drop(name);
    this.#steps.delete(name);
    this.#again.delete(name);
  }
}

/** A step as this process knows it. */
interface StepInForce {
  readonly meter: StepMeter;
  /** Unix ms. */
  notedAtMs: number;
  /** Monotonic: a clock that is set neither ends a step nor prolongs it. Of a step that another process entered, as far as the wall clock tells. */
  readonly sinceMs: number;
}

const noFigures = { candidate: null, stable: null } as const;
