import type { MessageHead } from '@remora/http/message-head';
import type { Engine } from './engine.ts';
import type { ExchangeRun } from './exchange-run.ts';
import { Tunnel } from './tunnel.ts';

/** From the head of a switch on: the exchange counts as begun, its heads outlive what they were read from, and both directions have their limits. */
export function openTunnel(run: ExchangeRun, engine: Engine, { protocol, idleMs, maxMs }: TunnelTerms): Tunnel {
  run.head.detach();
  (run.responseHead as MessageHead | null)?.detach();
  const row = engine.rowOf(run);
  run.countIn(row);
  const { wheels, turn } = engine.thread;
  return new Tunnel({ owner: run, protocol, row, wheels, turn, limits: { idleMs, maxMs, bytesMax: run.tunnelBytesMax } });
}

export interface TunnelTerms {
  /** As the response names it: `websocket`, `tcp`. */
  readonly protocol: string;
  /** 0: no limit, as for `maxMs`. */
  readonly idleMs: number;
  readonly maxMs: number;
}
