/**
 * Something that a caller's side decided about a destination or one of its hosts, and that people want to hear of: ejected, returned, breaker opened,
 * budget exhausted, failed over. Bounded in number by who reports it: changes of state, never one per request.
 */
export interface HealthEvent {
  /** Policy kind. */
  readonly kind: string;
  /** One word of the kind's page: `ejected`, `returned`, `opened`, `half-open`, `closed`, `exhausted`, `failover`, `panic`, `shedding` … */
  readonly event: string;
  /** Destination; of the provider's side the own service. */
  readonly service: string;
  /** Address of the host; '' where it is about all of them. */
  readonly host: string;
  /** Field of the section that decided. */
  readonly pointer: string;
  /** The figures behind it: `consecutive-5xx, 5 of 5`. No secrets. */
  readonly detail: string;
  /** Monotonic milliseconds at which it ends by itself; 0: it does not. */
  readonly untilMs: number;
  /** It was told already and holds longer, until `untilMs`: nothing new has happened. */
  readonly renews?: boolean;
}

/**
 * What an event does to what is held against its host or service: it begins the state of that name, or ends it. One kind holds at most one state of each name
 * against the same host: `''` is the one of which each event takes the place of the one before (closed, half-open, open). null: told, and no state, as all
 * verdicts in shadow are.
 */
export function stateOfEvent(event: string): { readonly state: string; readonly ends: boolean } | null {
  if (event.startsWith('would-')) return null;
  if (event.endsWith(endedSuffix)) return { state: event.slice(0, -endedSuffix.length), ends: true };
  if (besides.has(event)) return { state: event, ends: false };
  return { state: '', ends: endingEvents.has(event) };
}

/** The event that ends the state of this name, whatever began it. */
export function endOfState(state: string): string {
  return state === '' ? 'ended' : state + endedSuffix;
}

const endedSuffix = '-ended';
/** States of one kind that hold beside each other. */
const besides: ReadonlySet<string> = new Set(['panic', 'failover']);
/** After these nothing is held any more. */
const endingEvents: ReadonlySet<string> = new Set(['returned', 'closed', 'healthy', 'recovered', 'ended', 'replenished']);
