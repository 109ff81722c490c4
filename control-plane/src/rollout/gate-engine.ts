import { countOf, quantileMs } from '@remora/telemetry/histogram';

/**
 * Decides how a rollout goes on: of traffic between two sets of instances, of a configuration between two sets of sidecars. It knows
 * neither: a plan, where the rollout stands, what was measured since the step began, and the time. Pure and total; whoever runs it does what it says.
 *
 * What holds, in this order: a gate that failed aborts, whatever people ordered; an order to promote moves on, whatever is missing; a pause holds;
 * missing or stale figures hold; too few requests hold or abort, as the plan says; the time of the step, and the approval it waits for, must have come.
 */
export function decide(plan: RolloutPlan, at: RolloutPosition, measured: StepMeasurement, nowMs: number): GateDecision {
  const step = plan.steps[at.step];
  if (step === undefined) return { action: 'hold', because: 'finished', sentence: 'all steps are done', findings: [] };
  const state = measuredState(plan, measured, nowMs);
  const findings = state.because === null ? examine(plan.gates, measured) : [];
  const failed = findings.filter(({ outcome }) => outcome === 'failed');
  const say = (action: GateAction, because: GateReason, sentence: string): GateDecision => ({ action, because, sentence, findings });
  if (failed.length > 0) return say('abort', 'gate-failed', failed.map(({ sentence }) => sentence).join('; '));
  const unmeasured = findings.find(({ outcome }) => outcome === 'missing');
  const lack = state.because !== null ? state : unmeasured === undefined ? null : { because: 'missing-data' as const, sentence: unmeasured.sentence };
  if (at.order === 'promote') return say('advance', 'promoted', lack === null ? 'promoted by a person; all gates hold' : `promoted by a person, although ${lack.sentence}`);
  if (at.paused) return say('hold', 'paused', 'paused by a person');
  const left = step.forMs - (nowMs - at.sinceMs);
  if (lack !== null) {
    if (lack.because === 'too-few' && plan.gates.onTooFew === 'abort' && left <= 0) return say('abort', 'too-few', `${lack.sentence}, and the time of the step is over`);
    return say('hold', lack.because, lack.sentence);
  }
  if (left > 0) return say('hold', 'time', `${seconds(left)} s of ${seconds(step.forMs)} s are left`);
  if (step.approval && at.order !== 'approve') return say('hold', 'approval', 'waits for approval');
  return say('advance', step.approval ? 'approved' : 'passed', findings.length === 0 ? 'its time is over; there are no gates' : findings.map(({ sentence }) => sentence).join('; '));
}

export interface RolloutPlan {
  readonly steps: readonly RolloutStep[];
  readonly gates: RolloutGates;
}

export interface RolloutStep {
  /** How long it lasts at least; 0: no longer than the gates need. */
  readonly forMs: number;
  /** A person has to say that it goes on. */
  readonly approval: boolean;
}

export interface RolloutGates {
  /** By how much the candidate's share of failed requests may be above that of stable: 0.01 is one percentage point. Absent: not looked at. */
  readonly errorRateIncreaseMax?: number;
  /** How many times as slow the candidate's p99 may be; estimated from histograms, whose error is 4.5 % at most. Absent: not looked at. */
  readonly p99RatioMax?: number;
  /** Of the candidate and of stable, each, since the step began; at least 1. */
  readonly minRequests: number;
  /** What too few of them do when the time of the step is over. They never advance. */
  readonly onTooFew: 'hold' | 'abort';
  /** Figures older than this are missing. */
  readonly staleMs: number;
}

export interface RolloutPosition {
  /** Index into the steps; at their end or beyond, nothing is left to decide. */
  readonly step: number;
  /** When the step came into force; the same clock as `nowMs`. */
  readonly sinceMs: number;
  readonly paused: boolean;
  /** `approve`: what an approval waits for; the gates and the time hold all the same. `promote`: go on now, unless a gate failed. */
  readonly order: 'none' | 'approve' | 'promote';
}

/** Since the step began. */
export interface Measured {
  readonly requests: number;
  /** Those that failed, as their callers saw it. */
  readonly errors: number;
  /** Counts in the layout of libs/telemetry/histogram.ts. */
  readonly latency: ArrayLike<number>;
}

/** Null: nothing is known of it, which is not the same as no requests. */
export interface StepMeasurement {
  readonly candidate: Measured | null;
  readonly stable: Measured | null;
  /** When the older of both was reported; the clock of `nowMs`. */
  readonly reportedAtMs: number;
}

export type GateAction = 'advance' | 'hold' | 'abort';
export type GateReason = 'passed' | 'approved' | 'promoted' | 'time' | 'approval' | 'paused' | 'missing-data' | 'too-few' | 'gate-failed' | 'finished';

export interface GateDecision {
  readonly action: GateAction;
  readonly because: GateReason;
  /** For people: the figures behind it. */
  readonly sentence: string;
  /** Each gate that could be looked at, in the order of `RolloutGates`. */
  readonly findings: readonly GateFinding[];
}

export interface GateFinding {
  readonly gate: 'errorRate' | 'p99';
  readonly outcome: 'held' | 'failed' | 'missing';
  /** Share of failed requests from 0 to 1, or milliseconds. */
  readonly candidate: number;
  readonly stable: number;
  /** What the plan allows. */
  readonly limit: number;
  readonly sentence: string;
}

type Lack = { readonly because: 'missing-data' | 'too-few'; readonly sentence: string };

/** Whether the figures may be looked at. */
function measuredState(plan: RolloutPlan, { candidate, stable, reportedAtMs }: StepMeasurement, nowMs: number): Lack | { readonly because: null } {
  const missing = [...(sound(candidate) ? [] : ['the candidate']), ...(sound(stable) ? [] : ['stable'])];
  if (candidate === null || stable === null || missing.length > 0) return { because: 'missing-data', sentence: `there are no figures of ${missing.join(' and ')}` };
  const age = nowMs - reportedAtMs;
  if (!(age <= plan.gates.staleMs)) return { because: 'missing-data', sentence: `the figures are ${seconds(age)} s old, and may be ${seconds(plan.gates.staleMs)} s` };
  const least = Math.max(1, plan.gates.minRequests);
  const few = [['the candidate', candidate.requests] as const, ['stable', stable.requests] as const].filter(([, requests]) => requests < least);
  if (few.length === 0) return { because: null };
  return { because: 'too-few', sentence: few.map(([who, requests]) => `${who} had ${String(requests)} of ${String(least)} requests`).join(', ') };
}

/** Counts that cannot be are no figures. */
function sound(measured: Measured | null): boolean {
  return measured !== null && Number.isFinite(measured.requests) && measured.requests >= 0 && measured.errors >= 0 && measured.errors <= measured.requests;
}

/** With enough requests on both sides. */
function examine(gates: RolloutGates, { candidate, stable }: StepMeasurement): GateFinding[] {
  if (candidate === null || stable === null) return [];
  return [
    ...(gates.errorRateIncreaseMax === undefined ? [] : [errorFinding(candidate, stable, gates.errorRateIncreaseMax)]),
    ...(gates.p99RatioMax === undefined ? [] : [latencyFinding(candidate, stable, gates.p99RatioMax)]),
  ];
}

function errorFinding(candidate: Measured, stable: Measured, limit: number): GateFinding {
  const [now, before] = [candidate.errors / candidate.requests, stable.errors / stable.requests];
  const held = now - before <= limit + rounding;
  return {
    gate: 'errorRate', outcome: held ? 'held' : 'failed', candidate: now, stable: before, limit,
    sentence: `errors ${percent(now)} of ${String(candidate.requests)}, stable ${percent(before)} of ${String(stable.requests)}: ${held ? 'within' : 'more than'} ${percent(limit)} above`,
  };
}

function latencyFinding(candidate: Measured, stable: Measured, limit: number): GateFinding {
  const [now, before] = [quantileMs(candidate.latency, 0.99), quantileMs(stable.latency, 0.99)];
  const found = { gate: 'p99', candidate: now, stable: before, limit } as const;
  const unknown = [...(countOf(candidate.latency) > 0 ? [] : ['the candidate']), ...(countOf(stable.latency) > 0 ? [] : ['stable'])];
  if (unknown.length > 0) return { ...found, outcome: 'missing', sentence: `there are no latencies of ${unknown.join(' and ')}` };
  const held = now <= before * limit * (1 + rounding);
  return { ...found, outcome: held ? 'held' : 'failed', sentence: `p99 ${millis(now)}, stable ${millis(before)}: ${held ? 'within' : 'more than'} ${String(limit)} times` };
}

/** Decimals of a plan are no binary fractions: 0.03 − 0.02 is a little more than 0.01. */
const rounding = 1e-9;

function percent(share: number): string {
  return `${String(Number((share * 100).toFixed(2)))} %`;
}

function millis(ms: number): string {
  return `${String(Number(ms.toPrecision(3)))} ms`;
}

function seconds(ms: number): string {
  return String(Math.max(0, Math.ceil(ms / 1000)));
}
