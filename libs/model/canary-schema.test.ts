import { expect, it } from 'vitest';
import { canarySchema } from './canary-schema.ts';
import { issueViolations } from './issue-violations.ts';

const canary = {
  kind: 'Canary', name: 'orders-v2', service: 'orders', stable: { labels: { version: 'v1' } }, candidate: { labels: { version: 'v2' } },
  steps: [{ weight: 5, for: '5m' }, { weight: 25, for: '10m' }, { pause: 'approval' }, { weight: 100 }],
  gates: { errorRate: { maxIncrease: '1%' }, p99: { maxRatio: 1.3 }, minRequests: 500, onTooFew: 'hold' }, sticky: { header: 'X-User-Id' },
};

function violations(change: Readonly<Record<string, unknown>>): string[] {
  const parsed = canarySchema.safeParse({ ...canary, ...change }, { reportInput: true });
  return parsed.success ? [] : issueViolations(canarySchema, parsed.error.issues).map(({ pointer, code }) => `${pointer} ${code}`);
}

it.each<[string, Readonly<Record<string, unknown>>, string[]]>([
  ['the canary of the documentation', {}, []],
  ['one inside Routes', { routes: ['a', 'b'] }, []],
  ['no label', { candidate: { labels: {} } }, ['/candidate/labels too-few']],
  ['the same instances', { candidate: canary.stable }, ['/candidate/labels contradiction']],
  ['instances that may be both', { candidate: { labels: { track: 'canary' } } }, ['/candidate/labels contradiction']],
  ['labels that tell them apart beside others', { candidate: { labels: { version: 'v2', track: 'canary' } } }, []],
  ['no steps', { steps: [] }, ['/steps too-few']],
  ['weights that do not grow', { steps: [{ weight: 25, for: '5m' }, { weight: 25, for: '5m' }, { weight: 100 }] }, ['/steps/1/weight contradiction']],
  ['weights above 100', { steps: [{ weight: 101, for: '5m' }] }, ['/steps/0/weight out-of-range', '/steps/0 contradiction']],
  ['an end below 100', { steps: [{ weight: 50, for: '5m' }] }, ['/steps/0 contradiction']],
  ['a pause first', { steps: [{ pause: 'approval' }, { weight: 100 }] }, ['/steps/0/pause contradiction']],
  ['two pauses', { steps: [{ weight: 5, for: '5m' }, { pause: 'approval' }, { pause: 'approval' }, { weight: 100 }] }, ['/steps/2/pause contradiction']],
  ['a weight without time', { steps: [{ weight: 5 }, { weight: 100 }] }, ['/steps/0/for missing-field']],
  ['a time at the end', { steps: [{ weight: 100, for: '5m' }] }, ['/steps/0/for contradiction']],
  ['a pause with a time', { steps: [{ weight: 5, for: '5m' }, { pause: 'approval', for: '1m' }, { weight: 100 }] }, ['/steps/1/for contradiction']],
  ['a step that does nothing', { steps: [{}, { weight: 100 }] }, ['/steps/0 exclusive']],
  ['a step that does both', { steps: [{ weight: 5, pause: 'approval' }, { weight: 100 }] }, ['/steps/0 exclusive']],
  ['minRequests 0', { gates: { errorRate: { maxIncrease: '1%' }, minRequests: 0 } }, ['/gates/minRequests out-of-range']],
  ['gates that look at nothing', { gates: { minRequests: 5 } }, ['/gates too-few']],
  ['too few that advance', { gates: { p99: { maxRatio: 2 }, onTooFew: 'advance' } }, ['/gates/onTooFew invalid-value']],
  ['a ratio below 1', { gates: { p99: { maxRatio: 0.5 } } }, ['/gates/p99/maxRatio out-of-range']],
  ['a Route twice', { routes: ['a', 'a'] }, ['/routes/1 duplicate']],
])('%s', (_name, change, expected) => {
  expect(violations(change)).toEqual(expected);
});
