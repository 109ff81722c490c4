import type { ProxyProtocolVersion } from '@remora/snapshot/snapshot';
import type { UpstreamWay } from '../tls/upstream-way.ts';
import type { PoolSettings } from './pool-settings.ts';

/** How what listens behind a port is connected. Endpoints that sidecars announce are only told apart by `raw`: the rest is between callers and apps without one. */
export interface PortConnection {
  /** Reached by TCP connections whose bytes nobody looks into. */
  readonly raw: boolean;
  /** null: without TLS. */
  readonly tls: UpstreamWay | null;
  /** Version of the header that each connection begins with; 0: none. */
  readonly proxyProtocol: ProxyProtocolVersion;
  /** Of the destination, at whatever endpoint; null: as pools usually are. */
  readonly pool: PoolSettings | null;
}

/** Tells ways to connect apart; '' for a plain one. */
export function portConnectionKey({ raw, tls, proxyProtocol, pool }: PortConnection): string {
  return raw || tls !== null || proxyProtocol !== 0 || pool !== null ? `${raw ? 'raw' : ''}\0${proxyProtocol}\0${tls?.key ?? ''}\0${pool?.key ?? ''}` : '';
}

/** Requests, without TLS, without a header. */
export const plainPort: PortConnection = Object.freeze({ raw: false, tls: null, proxyProtocol: 0, pool: null });
