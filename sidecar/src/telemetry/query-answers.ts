import type { Query } from '@remora/proto/gen/remora/push/v1/push';
import { questionFromJson } from '../admin/request-question.ts';
import { readTapAsk } from './tap-question.ts';
import type { Inspection } from '../admin/inspection.ts';
import type { RequestQuestion } from '../threads/data-plane.ts';

/** Answers a question of the control plane as JSON text. Rejects with one sentence. */
export async function answerQuery(query: Query, inspection: Inspection, defaultSide: RequestQuestion['side'], readCounts: ReadCounts): Promise<string> {
  const { question } = query;
  if (question?.$case === 'why') return JSON.stringify(inspection.why(question.value.requestId));
  if (question?.$case !== 'inspect') throw new Error('this build does not know the question');
  switch (question.value.what) {
    case 'snapshot':
      return JSON.stringify({ status: inspection.status(), snapshot: inspection.snapshot() });
    case 'state':
      return JSON.stringify(await inspection.state());
    case 'route': {
      const read = questionFromJson(question.value.request, defaultSide);
      if (!read.ok) throw new Error(read.problems.join('; '));
      return JSON.stringify(await inspection.route(read.question));
    }
    case 'tap':
      return JSON.stringify(await inspection.tap(readTapAsk(question.value.request)));
    case 'usage':
      return JSON.stringify(await readCounts(countsAsked(question.value.request)));
    default:
      throw new Error(`inspect: ${question.value.what.slice(0, 64)} is not one of snapshot, route, state, tap, usage`);
  }
}

/** Counts of quotas as the store has them. Rejects where it says nothing. */
export type ReadCounts = (asked: readonly { readonly name: string; readonly identity: string }[]) => Promise<readonly number[]>;

const countsMax = 1_000;

function countsAsked(text: string): Parameters<ReadCounts>[0] {
  const asked: unknown = JSON.parse(text);
  if (!Array.isArray(asked) || asked.length > countsMax || !asked.every(isCount)) throw new Error(`usage: expected at most ${countsMax} counts, each with name and identity`);
  return asked;
}

function isCount(value: unknown): value is { readonly name: string; readonly identity: string } {
  return typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string' && 'identity' in value && typeof value.identity === 'string';
}
