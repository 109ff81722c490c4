import type { CanaryDocument } from '@remora/model/canary-schema';
import { figuresOf } from './canary-decisions.ts';
import { canaryPlan } from './canary-plan.ts';
import type { CanaryDecision, CanaryRun, SideFigures } from './canary-run.ts';
import type { CanaryRunner } from './canary-runner.ts';
import type { GateFinding } from './gate-engine.ts';

/** Where a canary stands, and the figures behind what is decided, as the API shows it. `null` for the run: it has not begun. */
export function canaryStatus(name: string, document: CanaryDocument, run: CanaryRun | null, runner: Pick<CanaryRunner, 'judge'>): object {
  const { weights } = canaryPlan(document);
  const labels = { candidate: document.candidate.labels, stable: document.stable.labels };
  const about = { canary: name, service: document.service, routes: document.routes ?? [name], ownRoute: document.routes === undefined, steps: weights.length + 1 };
  if (run === null) {
    return { ...about, phase: 'waiting', paused: false, step: null, weight: null, since: null, startedAt: null, endedAt: null, now: { action: 'hold', because: 'waiting', sentence: 'has not begun' }, ...nobody(labels), gates: [], verdict: null, blocked: '', decisions: [] };
  }
  const judged = runner.judge(run);
  const last = run.decisions.at(-1);
  const measured = judged?.measured ?? run.carried;
  const reportedAtMs = judged?.measured.reportedAtMs ?? Number.NEGATIVE_INFINITY;
  return {
    ...about, phase: run.phase, paused: run.paused,
    step: stepOf(run, weights.length), weight: weightOf(run, weights),
    since: dateText(run.enteredAtMs), startedAt: dateText(run.startedAtMs), endedAt: dateText(run.endedAtMs),
    now: nowOf(run, judged?.decision ?? null),
    candidate: { labels: labels.candidate, ...shown(figuresOf(measured.candidate)) }, stable: { labels: labels.stable, ...shown(figuresOf(measured.stable)) },
    reportedAt: Number.isFinite(reportedAtMs) ? dateText(Math.round(reportedAtMs)) : null,
    gates: (judged?.decision.findings ?? last?.findings ?? []).map(gateShown),
    verdict: run.verdict, blocked: run.blocked,
    decisions: run.decisions.toReversed().map(decisionShown),
  };
}

function nobody(labels: { readonly candidate: object; readonly stable: object }): object {
  return { candidate: { labels: labels.candidate, ...shown(null) }, stable: { labels: labels.stable, ...shown(null) }, reportedAt: null };
}

function nowOf(run: CanaryRun, decision: { readonly action: string; readonly because: string; readonly sentence: string } | null): object {
  if (decision !== null) return { action: decision.action, because: decision.because, sentence: decision.sentence };
  if (run.phase === 'running') return { action: 'hold', because: 'entering', sentence: run.blocked === '' ? 'the weight of this step is being written' : `the weight of this step was refused: ${run.blocked}` };
  return { action: run.phase === 'completed' || run.phase === 'completing' ? 'advance' : 'abort', because: run.phase, sentence: run.verdict?.sentence ?? '' };
}

/** From 1; the last one is the one with everything. */
function stepOf({ phase, step }: CanaryRun, below: number): number {
  return phase === 'completing' || phase === 'completed' ? below + 1 : step + 1;
}

/** Percent of the candidate in its Routes; null where they are as before the canary. */
function weightOf({ phase, step, enteredAtMs }: CanaryRun, weights: readonly number[]): number | null {
  if (phase === 'completed') return 100;
  if (phase === 'aborted' || phase === 'failed') return null;
  return weights[enteredAtMs === null ? step - 1 : step] ?? null;
}

function shown(figures: SideFigures | null): object {
  if (figures === null) return { requests: null, errors: null, errorShare: null, p99Ms: null };
  return { ...figures, errorShare: figures.requests === 0 ? null : figures.errors / figures.requests, p99Ms: figures.requests === 0 ? null : figures.p99Ms };
}

function gateShown({ gate, outcome, candidate, stable, limit, sentence }: GateFinding): object {
  return { gate, outcome, candidate, stable, limit, sentence };
}

function decisionShown({ atMs, step, weight, action, because, sentence, by, findings, candidate, stable }: CanaryDecision): object {
  return { at: dateText(atMs), step: step + 1, weight, action, because, sentence, by, gates: findings.map(gateShown), candidate: candidate && shown(candidate), stable: stable && shown(stable) };
}

function dateText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
