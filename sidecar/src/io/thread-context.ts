import type { FactBooks } from '@remora/policy-kit/facts';
import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { HeadArena } from '@remora/http/head-arena';
import type { WindowBudget } from '@remora/http/http2/window-budget';
import type { HopNotes } from '@remora/policy-kit/hop-notes';
import type { LinkContext } from './link-context.ts';
import type { TimerWheels } from './timer-wheel.ts';
import type { Turn } from './turn.ts';

/** What everything on one data thread shares. */
export interface ThreadContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly turn: Turn;
  readonly wheels: TimerWheels;
  readonly links: LinkContext;
  readonly arena: HeadArena;
  /** What windows of HTTP/2 may be beyond their usual size, those of clients and upstreams together. */
  readonly windows: WindowBudget;
  /** What listeners, filters and connections must know beside the snapshot. */
  readonly facts: FactBooks;
  /** What inbound and outbound side tell each other about retries. */
  readonly hops: HopNotes;
}
