import type { ConnectionFacts } from '@remora/policy-kit/exchange';
import type { EventCounter } from '../records/policy-events.ts';
import type { ForwardedFields } from '../pipeline/outside-headers.ts';
import type { CallerFacts } from './caller-facts.ts';
import type { ListenerBinding } from './listener-binding.ts';

/** The client at the other end of a connection, as the engine sees it, whatever the codec. All exchanges of a connection share it. */
export interface ServerPeer {
  readonly binding: ListenerBinding;
  /** '' until the first bytes have told. */
  readonly protocol: ServedProtocol | '';
  facts: ConnectionFacts;
  /** Where the client connected to: asked of the system. */
  readonly localAddress: string;
  /** What `facts` were made by: they follow the current snapshot. */
  factsOf: object | null;
  /** What the listener asked of the connection when it was made (edge-terms.ts). */
  readonly terms: string;
  /** The listener asks for more by now: nothing is taken on it any more. */
  outdated: boolean;
  /** What a gateway adds for this client. */
  forwarded: ForwardedFields | null;
  /** Where requests of an inbound port are counted by their caller; null until the first one, and after each change of what the connection was judged by. */
  calls: EventCounter | null;
  /** Who called by a certificate of the mesh; null: nobody known. */
  readonly caller: CallerFacts | null;
  /** The caller's certificate counts no more: expired, revoked, or of a root that is gone. Nothing is taken on the connection any more. */
  certificateOver: boolean;
  /** When the caller's certificate ends, Unix milliseconds; Infinity without one. */
  readonly certificateEndsMs: number;
}

/** What a connection carries; `tls` is passed through. */
export type ServedProtocol = 'http1' | 'http2' | 'tcp' | 'tls';
