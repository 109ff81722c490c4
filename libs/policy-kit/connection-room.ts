import type { Exchange } from './exchange.ts';

/**
 * How many connections, and how many calls that wait for one, a caller may have towards one destination, over all its hosts and data threads. Pools ask it
 * beside their own limits, and give back what they took: a connection to the room of the call that it was opened for.
 */
export interface ConnectionRoom {
  /** Takes the place of one more connection. `first`: the pool has none yet, and gets one whatever the bound says, since calls that wait there would wait for nothing. */
  connect(first: boolean): boolean;
  disconnected(): void;
  /** There is no place for one more connection, and nothing to wait for: the call is refused, and the exchange says why. */
  refuse(x: Exchange): void;
  /** Takes the place of one more waiting call; false: it is refused, and the exchange says why. */
  wait(x: Exchange): boolean;
  waited(): void;
}
