import { duration, headerName, oneOf, ratio } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { documentName, hostName, labels } from './names.ts';

const dayMs = 86_400_000;
const stepsMax = 32;

const stepSchema = z.strictObject({
  weight: z.int().min(1).max(100).optional().meta({ description: 'percent of the requests that the candidate gets' }),
  for: duration({ min: 1_000, max: 30 * dayMs }).optional().meta({ description: 'how long at least' }),
  pause: oneOf(['approval']).optional().meta({ description: 'until a person promotes it' }),
}).superRefine(({ weight, for: time, pause }, context) => {
  if ((weight === undefined) === (pause === undefined)) return issue(context, 'exclusive', weight === undefined ? 'does nothing' : 'has weight and pause', 'one of weight, pause');
  if (pause !== undefined && time !== undefined) issue(context, 'contradiction', 'a pause lasts until it is approved', undefined, ['for']);
  if (weight === 100 && time !== undefined) issue(context, 'contradiction', 'with weight 100 the canary is done: nothing is left to compare with', undefined, ['for']);
  if (weight !== undefined && weight < 100 && time === undefined) issue(context, 'missing-field', 'is missing', 'how long at least, such as 10m', ['for']);
}, acrossFields('weight', 'for', 'pause'));

const gatesSchema = z.strictObject({
  errorRate: z.strictObject({ maxIncrease: ratio().meta({ description: 'how far the share of failed requests may be above that of stable, in points: 1%' }) }).optional(),
  p99: z.strictObject({ maxRatio: z.number().min(1).max(100).meta({ description: 'how many times as slow the slowest hundredth may be' }) }).optional(),
  minRequests: z.int().min(1).max(1_000_000_000).optional().meta({ description: 'of each side within a step, before it is judged; default 500' }),
  onTooFew: oneOf(['hold', 'abort']).optional().meta({ description: 'fewer than that when the time of the step is over; default hold' }),
}).superRefine(({ errorRate, p99 }, context) => {
  if (errorRate === undefined && p99 === undefined) issue(context, 'too-few', 'looks at nothing', 'errorRate, p99 or both');
}, acrossFields('errorRate', 'p99'));

const side = z.strictObject({ labels: labels() }).superRefine((one, context) => {
  if (Object.keys(one.labels).length === 0) issue(context, 'too-few', 'chooses all instances', 'at least one label', ['labels']);
}, acrossFields('labels'));

/** A staged shift of traffic from instances with some labels to those with others. What it needs of other documents is not looked at here. */
export const canarySchema = z.strictObject({
  kind: z.literal('Canary'),
  name: documentName(),
  labels: labels().optional(),
  service: hostName(),
  routes: z.array(documentName()).min(1).max(documentLimits.targets).optional().meta({ description: 'Routes of the service whose weights it moves; absent: one of its own' }),
  stable: side,
  candidate: side,
  steps: z.array(stepSchema).min(1).max(stepsMax),
  gates: gatesSchema,
  sticky: z.strictObject({ header: headerName() }).optional().meta({ description: 'requests with the same value go to the same side within a step' }),
})
  .superRefine(({ stable, candidate }, context) => checkSides(stable.labels, candidate.labels, context), acrossFields('stable', 'candidate'))
  .superRefine(({ steps }, context) => checkSteps(steps, context), acrossFields('steps'))
  .superRefine(({ routes = [] }, context) => {
    for (const [i, name] of routes.entries()) if (routes.indexOf(name) < i) issue(context, 'duplicate', `${name} is named twice`, undefined, ['routes', i]);
  }, acrossFields('routes'));

export type CanaryDocument = z.infer<typeof canarySchema>;

/** No instance may be both: figures of one side would hold requests of the other. */
function checkSides(stable: Readonly<Record<string, string>>, candidate: Readonly<Record<string, string>>, context: z.RefinementCtx): void {
  if (Object.keys(stable).length === 0 || Object.keys(candidate).length === 0) return;
  const apart = Object.entries(stable).some(([key, value]) => Object.hasOwn(candidate, key) && candidate[key] !== value);
  if (!apart) issue(context, 'contradiction', 'an instance could be stable and candidate', 'one label that both name, with different values', ['candidate', 'labels']);
}

function checkSteps(steps: readonly { readonly weight?: number | undefined; readonly pause?: string | undefined }[], context: z.RefinementCtx): void {
  let reached = 0;
  for (const [i, { weight, pause }] of steps.entries()) {
    if (weight === undefined && pause !== undefined && steps[i - 1]?.weight === undefined) issue(context, 'contradiction', i === 0 ? 'a canary begins with a weight' : 'is the second pause in a row', undefined, ['steps', i, 'pause']);
    if (weight === undefined) continue;
    if (weight <= reached) issue(context, 'contradiction', `the step before had ${String(reached)}: weights grow`, `more than ${String(reached)}`, ['steps', i, 'weight']);
    reached = Math.max(reached, weight);
  }
  if (steps.length > 0 && steps.at(-1)?.weight !== 100) issue(context, 'contradiction', 'the last step does not give everything to the candidate', '{weight: 100}', ['steps', steps.length - 1]);
}
