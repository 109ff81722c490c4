import { reasons } from '@remora/errors/reason';
import type { Destination, WeightedTarget } from '../generation/places.ts';
import { answerFor } from './answers.ts';
import type { ExchangeRun } from './exchange-run.ts';

/** No target of a route has an instance that could take the request. `destination`: who was asked for; null where the route names none. */
export function refuseWithoutInstance(run: ExchangeRun, destination: Destination | null, targets: readonly WeightedTarget[]): void {
  const known = destination?.cluster.known ?? false;
  const detail = known ? `${run.destination || destination?.service} has no instance for this request` : `no instances of ${destination?.service ?? 'the destination'} are known yet`;
  run.refuse(answerFor(targets.length > 1 ? reasons.noDestination : reasons.noHealthyUpstream, detail));
}
