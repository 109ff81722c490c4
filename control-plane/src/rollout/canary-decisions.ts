import { quantileMs } from '@remora/telemetry/histogram';
import { canaryPlan } from './canary-plan.ts';
import { decisionsMax } from './canary-run.ts';
import type { CanaryDecision, CanaryRun, SideFigures } from './canary-run.ts';
import type { GateFinding, Measured, StepMeasurement } from './gate-engine.ts';

type Decided = Pick<CanaryDecision, 'action' | 'because' | 'sentence'> & { readonly findings: readonly GateFinding[] };
type Sides = Pick<CanaryDecision, 'candidate' | 'stable'>;

/** The run with a decision noted, where it is another one than the last: one that goes on holding for the same reason is not. */
export function decided(run: CanaryRun, { action, because, sentence, findings }: Decided, atMs: number, sides: Sides = { candidate: null, stable: null }): CanaryRun {
  const last = run.decisions.at(-1);
  if (last !== undefined && action === 'hold' && last.action === 'hold' && last.because === because && last.step === run.step) return run;
  const weight = canaryPlan(run.document).weights[run.step] ?? 100;
  const decision: CanaryDecision = { atMs, step: run.step, weight, action, because, sentence, by: byPeople.has(because) ? run.orderedBy : '', findings, ...sides };
  return { ...run, decisions: [...run.decisions, decision].slice(-decisionsMax) };
}

/** What was measured, as people read it. */
export function sidesOf({ candidate, stable }: Pick<StepMeasurement, 'candidate' | 'stable'>): Sides {
  return { candidate: figuresOf(candidate), stable: figuresOf(stable) };
}

/** null: nothing is known. */
export function figuresOf(measured: Measured | null): SideFigures | null {
  return measured === null ? null : { requests: measured.requests, errors: measured.errors, p99Ms: quantileMs(measured.latency, 0.99) };
}

const byPeople: ReadonlySet<string> = new Set(['approved', 'promoted', 'paused', 'aborted']);
