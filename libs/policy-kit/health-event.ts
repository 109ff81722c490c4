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
}

/** Events after which nothing is held any more against what they are about. Every other event begins a state, which lasts until its own end or the next event of the same kind, service and host. */
export const endingEvents: ReadonlySet<string> = new Set(['returned', 'closed', 'healthy', 'recovered', 'ended', 'replenished']);

/** Events of a moment: told, and no state. */
export const momentaryEvents: ReadonlySet<string> = new Set(['would-eject', 'would-be-unhealthy', 'failover']);
