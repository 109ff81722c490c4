import type { ExchangeRun } from './exchange-run.ts';
import type { Tunnel } from './tunnel.ts';

/** Ends what the tunnel has under way, and tells its exchange what passed, for its records. */
export function closeTunnel(run: ExchangeRun, tunnel: Tunnel): void {
  tunnel.closed();
  if (tunnel.protocol !== 'websocket') return;
  run.messagesIn = tunnel.in.messages;
  run.messagesOut = tunnel.out.messages;
}
