import type { Link } from '../io/link.ts';
import type { LinkOwner } from '../io/link-owner.ts';

/** The protocol that an accepted connection speaks, once its first bytes have said so. It owns the link from `attach` on. */
export interface ServerCodec extends LinkOwner, Served {
  /** Before the first bytes, which follow by `onRead` within the same turn. */
  attach(link: Link): void;
}

/** What a listener knows of a connection that is served. */
export interface Served {
  /** Exchanges under way. */
  readonly busy: number;
  /** Closes when the exchanges under way have completed, after a while of quiet. */
  drain(): void;
}
