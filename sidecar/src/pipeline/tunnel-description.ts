import type { ExchangeRun } from './exchange-run.ts';
import type { Tunnel } from './tunnel.ts';

/** What the admin interface shows of a tunnel. */
export function describeTunnel(x: ExchangeRun, live: Tunnel | null, now: number): object {
  const { pin, destination, upstream, clientAddress, requestId } = x;
  return {
    protocol: live?.protocol ?? '', side: pin.side, route: pin.route, destination, clientAddress, upstream, requestId, version: pin.configVersion,
    ageMs: Math.round(now - x.startedAt), bytesIn: x.bytesIn, bytesOut: x.bytesOut,
    messagesIn: live?.in.messages ?? 0, messagesOut: live?.out.messages ?? 0, ending: live?.ending ?? false,
  };
}
