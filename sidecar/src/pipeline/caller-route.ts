import { reasons } from '@remora/errors/reason';
import { undecided } from '@remora/router/route-table';
import type { CallerRoute, Destination } from '../generation/places.ts';
import { answerFor } from './answers.ts';
import type { ExchangeRun } from './exchange-run.ts';

/** What holds for calls to the destination, by its Route as the caller sees it. Null: none could be told, and the exchange is refused. */
export function callerRoute(run: ExchangeRun, destination: Destination): CallerRoute | null {
  const hit = destination.table.match(run.head);
  if (hit !== undecided) return hit?.value ?? destination.fallback;
  run.refuse(answerFor(reasons.badRequest, 'a route\'s match could not be evaluated'));
  return null;
}
