import { bucketCount, bucketOf } from '@remora/telemetry/histogram';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, type GateAction, type GateReason, type Measured, type RolloutPlan, type RolloutPosition, type StepMeasurement } from './gate-engine.ts';

const plan: RolloutPlan = {
  steps: [{ forMs: 300_000, approval: false }, { forMs: 0, approval: true }, { forMs: 0, approval: false }],
  gates: { errorRateIncreaseMax: 0.01, p99RatioMax: 1.3, minRequests: 500, onTooFew: 'hold', staleMs: 30_000 },
};
const begun: RolloutPosition = { step: 0, sinceMs: 0, paused: false, order: 'none' };

function measured(requests: number, errors = 0, ms = 10): Measured {
  const latency = new Float64Array(bucketCount);
  latency[bucketOf(ms)] = requests;
  return { requests, errors, latency };
}

/** Both fresh at any time. */
function both(candidate: Measured | null, stable: Measured | null): StepMeasurement {
  return { candidate, stable, reportedAtMs: Number.POSITIVE_INFINITY };
}

const good = both(measured(1000, 10), measured(9000, 90));

describe('the decision', () => {
  const cases: readonly [string, Partial<RolloutPosition>, StepMeasurement, number, GateAction, GateReason, string][] = [
    ['waits for the time of the step', {}, good, 299_001, 'hold', 'time', '1 s of 300 s are left'],
    ['advances with the figures', {}, good, 300_000, 'advance', 'passed', 'errors 1 % of 1000, stable 1 % of 9000: within 1 % above; p99 9.93 ms, stable 9.93 ms: within 1.3 times'],
    ['aborts at errors before the time is over', {}, both(measured(1000, 31), measured(9000, 180)), 1000, 'abort', 'gate-failed', 'errors 3.1 % of 1000, stable 2 % of 9000: more than 1 % above'],
    ['allows exactly the increase', {}, both(measured(1000, 30), measured(9000, 180)), 300_000, 'advance', 'passed', 'errors 3 % of 1000, stable 2 % of 9000: within 1 % above; p99 9.93 ms, stable 9.93 ms: within 1.3 times'],
    ['aborts at latency', {}, both(measured(1000, 0, 20), measured(9000)), 1000, 'abort', 'gate-failed', 'p99 19.9 ms, stable 9.93 ms: more than 1.3 times'],
    ['holds with too few of the candidate', {}, both(measured(499), measured(9000)), 900_000, 'hold', 'too-few', 'the candidate had 499 of 500 requests'],
    ['holds with too few of stable', {}, both(measured(900), measured(3)), 900_000, 'hold', 'too-few', 'stable had 3 of 500 requests'],
    ['does not judge too few', {}, both(measured(20, 20), measured(9000)), 900_000, 'hold', 'too-few', 'the candidate had 20 of 500 requests'],
    ['holds without figures', {}, both(null, null), 900_000, 'hold', 'missing-data', 'there are no figures of the candidate and stable'],
    ['holds with stale figures', {}, { ...good, reportedAtMs: 200_000 }, 300_000, 'hold', 'missing-data', 'the figures are 100 s old, and may be 30 s'],
    ['holds with figures that cannot be', {}, both({ ...measured(1000), errors: 1001 }, measured(9000)), 900_000, 'hold', 'missing-data', 'there are no figures of the candidate'],
    ['holds without latencies', {}, both({ ...measured(1000), latency: [] }, measured(9000)), 900_000, 'hold', 'missing-data', 'there are no latencies of the candidate'],
    ['waits for approval', { step: 1 }, good, 900_000, 'hold', 'approval', 'waits for approval'],
    ['goes on when approved', { step: 1, order: 'approve' }, good, 900_000, 'advance', 'approved', 'errors 1 % of 1000, stable 1 % of 9000: within 1 % above; p99 9.93 ms, stable 9.93 ms: within 1.3 times'],
    ['does not go on without figures when approved', { step: 1, order: 'approve' }, both(null, measured(9000)), 900_000, 'hold', 'missing-data', 'there are no figures of the candidate'],
    ['holds when paused', { paused: true }, good, 900_000, 'hold', 'paused', 'paused by a person'],
    ['aborts a failing one that is paused', { paused: true }, both(measured(1000, 500), measured(9000)), 0, 'abort', 'gate-failed', 'errors 50 % of 1000, stable 0 % of 9000: more than 1 % above'],
    ['is promoted, and says what is missing', { order: 'promote' }, both(measured(3), measured(9000)), 0, 'advance', 'promoted', 'promoted by a person, although the candidate had 3 of 500 requests'],
    ['is not promoted past a gate that failed', { order: 'promote' }, both(measured(1000, 500), measured(9000)), 0, 'abort', 'gate-failed', 'errors 50 % of 1000, stable 0 % of 9000: more than 1 % above'],
    ['has nothing left to decide at the end', { step: 3 }, good, 900_000, 'hold', 'finished', 'all steps are done'],
  ];
  it.each(cases)('%s', (_name, position, figures, now, action, because, sentence) => {
    expect(decide(plan, { ...begun, ...position }, { ...figures, reportedAtMs: Math.min(figures.reportedAtMs, now) }, now)).toMatchObject({ action, because, sentence });
  });

  it('gives up where too few requests abort, not before the time is over', () => {
    const impatient: RolloutPlan = { ...plan, gates: { ...plan.gates, onTooFew: 'abort' } };
    const few = { ...both(measured(3), measured(9000)), reportedAtMs: 300_000 };
    expect(decide(impatient, begun, few, 299_999)).toMatchObject({ action: 'hold', because: 'too-few' });
    expect(decide(impatient, begun, few, 300_000)).toMatchObject({ action: 'abort', sentence: 'the candidate had 3 of 500 requests, and the time of the step is over' });
  });

  it('asks for figures even where there are no gates', () => {
    const ungated: RolloutPlan = { ...plan, gates: { minRequests: 1, onTooFew: 'hold', staleMs: 30_000 } };
    expect(decide(ungated, begun, { ...both(null, null), reportedAtMs: 300_000 }, 300_000).because).toBe('missing-data');
    expect(decide(ungated, begun, { ...good, reportedAtMs: 300_000 }, 300_000)).toMatchObject({ action: 'advance', sentence: 'its time is over; there are no gates' });
  });
});

describe('any rollout', () => {
  const side = fc.option(fc.record({ requests: fc.nat(2000), failed: fc.nat(2000), ms: fc.constantFrom(1, 10, 12, 14, 100) }), { nil: null });
  const world = fc.record({
    candidate: side, stable: side, age: fc.nat(60_000), step: fc.nat(3), elapsed: fc.nat(600_000), paused: fc.boolean(),
    order: fc.constantFrom('none', 'approve', 'promote'), onTooFew: fc.constantFrom('hold', 'abort'),
  });

  it('is decided as a model of the rules says', () => {
    fc.assert(fc.property(world, (drawn) => {
      const of = (one: typeof drawn.candidate): Measured | null => (one === null ? null : measured(one.requests, one.failed, one.ms));
      const now = 1_000_000;
      const position: RolloutPosition = { step: drawn.step, sinceMs: now - drawn.elapsed, paused: drawn.paused, order: drawn.order };
      const figures: StepMeasurement = { candidate: of(drawn.candidate), stable: of(drawn.stable), reportedAtMs: now - drawn.age };
      const decision = decide({ ...plan, gates: { ...plan.gates, onTooFew: drawn.onTooFew } }, position, figures, now);
      const { candidate, stable } = drawn;
      const step = plan.steps[drawn.step];
      const usable = candidate !== null && stable !== null && candidate.failed <= candidate.requests && stable.failed <= stable.requests && drawn.age <= 30_000;
      const enough = usable && candidate.requests >= 500 && stable.requests >= 500;
      // Cross-multiplied: no rates, no rounding.
      const failed = enough && (100 * (candidate.failed * stable.requests - stable.failed * candidate.requests) > candidate.requests * stable.requests || slower(candidate.ms, stable.ms));
      const due = step !== undefined && drawn.elapsed >= step.forMs;
      const modelled = step === undefined ? 'hold'
        : failed ? 'abort'
        : drawn.order === 'promote' ? 'advance'
        : drawn.paused ? 'hold'
        : usable && !enough && due && drawn.onTooFew === 'abort' ? 'abort'
        : enough && due && (!step.approval || drawn.order === 'approve') ? 'advance' : 'hold';
      expect(decision.action).toBe(modelled);
      expect(decision.sentence).not.toBe('');
    }), { numRuns: 2000 });
  });

  /** By the buckets that hold them, eight for each doubling. */
  function slower(candidateMs: number, stableMs: number): boolean {
    return (bucketOf(candidateMs) - bucketOf(stableMs)) / 8 > Math.log2(1.3);
  }
});
