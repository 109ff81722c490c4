import type { SubjectKey } from '@remora/core/subject';
import type { ConsumerDocument } from '@remora/model/consumer-schema';
import { planQuotas } from '@remora/model/plan-schema';
import type { PlanDocument } from '@remora/model/plan-schema';
import { quotaCountName, quotaPeriod, quotaPeriodBefore, type QuotaCalendar, type QuotaPeriod } from '@remora/policy-kit/quota-period';
import { z } from 'zod';
import type { Planned } from '../../compile/planner.ts';
import { QueryError } from '../../push/query-broker.ts';
import { apiRoute } from '../api-route.ts';
import type { ApiRoute } from '../api-route.ts';
import type { ApiPorts } from '../api-ports.ts';
import { limitParameter, nameParameter } from '../parameters.ts';
import { ApiError } from '../problem.ts';
import { usageListShape } from '../shapes/usage-shape.ts';

/** How long a sidecar may take for one question, and how many counts one has: an answer has a bound. */
const askMs = 5_000;
const countsPerQuestion = 250;
/** Sidecars asked one after the other before nobody knows. */
const sidecarsMax = 3;

interface Row {
  readonly consumer: string;
  readonly plan: string;
  readonly quota: ReturnType<typeof planQuotas>[number];
  readonly per: QuotaCalendar['per'];
  readonly period: QuotaPeriod;
}

/** What consumers used of their quotas: the counts are in the store of the Mesh, and a sidecar that counts there reads them. */
export function usageRoutes(ports: ApiPorts): ApiRoute[] {
  return [apiRoute({
    method: 'GET', path: '/v1/usage', operationId: 'listUsage', tag: 'Consumers', right: { role: 'viewer', scoped: 'refused' }, summary: 'What consumers used of the quotas of their Plans',
    description: 'By name, in pages. A connected sidecar is asked, whose `quota` counts in the store; where there is none, nobody knows (`offline`). Of the period that runs, or of the one before it.',
    query: z.object({
      consumer: nameParameter.optional().describe('Only this one'),
      period: z.enum(['current', 'previous'], { error: 'expected current or previous' }).default('current'),
      after: nameParameter.optional().describe('`next` of the page before'),
      limit: limitParameter(1_000, 100),
    }),
    answers: { 200: { description: 'A row for each quota of each consumer', schema: usageListShape } }, problems: ['not-found', 'not-ready', 'offline', 'sidecar-timeout', 'sidecar-failed'],
    async handle({ query: { consumer, period, after, limit } }) {
      const planned = plannedOf(ports);
      const { page, next } = consumersOf(planned, { consumer, after, limit });
      const nowMs = ports.clock.wallMs();
      const rows = page.flatMap((one) => rowsOf(one, planned.state.plans.get(one.plan ?? ''), nowMs, period === 'previous'));
      const counts = rows.length === 0 ? [] : await readCounts(ports, planned, rows);
      return { status: 200, body: { items: rows.map((row, nth) => answerOf(row, counts[nth] ?? 0)), next } };
    },
  })];
}

function plannedOf(ports: ApiPorts): Planned {
  const state = ports.writePath.state();
  if (state.kind !== 'ready') throw new ApiError('not-ready', 'The documents in the store are not understood yet.');
  return state.planned;
}

function consumersOf({ state: { consumers } }: Planned, { consumer, after, limit }: { readonly consumer: string | undefined; readonly after: string | undefined; readonly limit: number }): { readonly page: readonly ConsumerDocument[]; readonly next: string | null } {
  if (consumer !== undefined) {
    const found = consumers.get(consumer);
    if (found === undefined) throw new ApiError('not-found', `There is no Consumer ${consumer}.`);
    return { page: [found], next: null };
  }
  const names = [...consumers.keys()].filter((name) => after === undefined || name > after).sort();
  const page = names.slice(0, limit).flatMap((name) => consumers.get(name) ?? []);
  return { page, next: names.length > limit ? (names[limit - 1] ?? null) : null };
}

function rowsOf({ name: consumer }: ConsumerDocument, plan: PlanDocument | undefined, nowMs: number, previous: boolean): Row[] {
  if (plan === undefined) return [];
  return planQuotas(plan).map((quota) => {
    const calendar = { per: quota.per as QuotaCalendar['per'], timeZone: quota.timeZone, startsOn: quota.startsOn };
    const current = quotaPeriod(calendar, nowMs);
    return { consumer, plan: plan.name, quota, per: calendar.per, period: previous ? quotaPeriodBefore(calendar, current) : current };
  });
}

async function readCounts(ports: ApiPorts, planned: Planned, rows: readonly Row[]): Promise<readonly number[]> {
  const nodes = ports.hub.sidecars().filter(({ connected, subject }) => connected && countsThere(planned, subject)).slice(0, sidecarsMax);
  let failure = new ApiError('offline', 'No connected sidecar counts in the store: quotas are counted where a Policy sets `quota`.');
  for (const { nodeId } of nodes) {
    try {
      return await readFrom(ports, nodeId, rows);
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      failure = new ApiError(error.code === 'timeout' || error.code === 'busy' ? 'sidecar-timeout' : error.code === 'offline' ? 'offline' : 'sidecar-failed', error.message);
    }
  }
  throw failure;
}

async function readFrom(ports: ApiPorts, nodeId: string, rows: readonly Row[]): Promise<readonly number[]> {
  const counts: number[] = [];
  for (let from = 0; from < rows.length; from += countsPerQuestion) {
    const asked = rows.slice(from, from + countsPerQuestion).map(({ consumer, plan, quota, period }) => quotaCountName({ consumer, plan, quota: quota.name, period: period.label }));
    const answer = await ports.hub.ask(nodeId, { what: 'usage', request: JSON.stringify(asked) }, askMs);
    if (!Array.isArray(answer) || answer.length !== asked.length || !answer.every((one) => typeof one === 'number' && one >= 0)) throw new QueryError('bad-answer', `The answer of ${nodeId} is no list of counts.`);
    counts.push(...(answer as number[]));
  }
  return counts;
}

function countsThere(planned: Planned, subject: SubjectKey): boolean {
  return planned.compilation.subjects.get(subject)?.needs.store ?? false;
}

function answerOf({ consumer, plan, quota, per, period }: Row, used: number): z.output<typeof usageListShape>['items'][number] {
  return {
    consumer, plan, quota: quota.name, per, period: period.label, start: new Date(period.startMs).toISOString(), end: new Date(period.endMs).toISOString(),
    requests: quota.requests, used, remaining: Math.max(0, quota.requests - used),
  };
}
