import { reasons } from '@remora/errors/reason';
import type { MessageHead } from '@remora/http/message-head';
import type { Answer, EdgeFilter } from '@remora/policy-kit/exchange';
import { undecided } from '@remora/router/route-table';
import type { Place, ProviderPort } from '../generation/places.ts';
import type { ExchangeRun } from './exchange-run.ts';

export interface Revocation {
  readonly answer: Answer;
  /** Whose policy it was: not the place that the exchange began on. */
  readonly place: Place;
}

/**
 * What has begun goes on when the configuration changes, but for policies that say `revoke`: they are asked at the place that the exchange would have
 * now. Null: it goes on. `failed` answers for a filter that throws: what cannot be judged is not let in.
 */
export function revocationOf(run: ExchangeRun, port: ProviderPort, failed: (kind: string, error: unknown) => Answer): Revocation | null {
  const hit = port.table.match(askedHead(run));
  const { place } = hit === undecided ? port.fallback : (hit?.value ?? port.fallback);
  for (const filter of place.filters) {
    const answer = ask(filter, run, failed);
    if (answer !== null) return { place, answer: { ...answer, reason: reasons.tunnelRevoked, status: 0, body: null } };
  }
  return null;
}

function ask(filter: EdgeFilter, run: ExchangeRun, failed: (kind: string, error: unknown) => Answer): Answer | null {
  try {
    return filter.revoke?.(run) ?? null;
  } catch (error) {
    return failed(filter.kind, error);
  }
}

/** The request as it came: a rewrite is no part of what Routes match. */
function askedHead({ head, askedPath, askedAuthority }: ExchangeRun): MessageHead {
  if (askedPath === null && askedAuthority === null) return head;
  const asked = head.fork();
  if (askedPath !== null) asked.setPath(askedPath);
  if (askedAuthority !== null) asked.setAuthority(askedAuthority);
  return asked;
}
