import type { GatewayListener, ListenerTls } from '@remora/snapshot/snapshot';
import type { ServerContexts } from '../tls/server-contexts.ts';
import { handshakesOverflow, type HandshakeVerdict } from './handshake-verdict.ts';
import { tlsAlerts } from './tls-alerts.ts';

/** How a listener of a gateway answers a ClientHello for `host`; '' where it names none. `underWay`: handshakes of the listener now. */
export function edgeHandshake(contexts: ServerContexts, { edge, tls, host, underWay }: EdgeHello): HandshakeVerdict {
  const policy = contexts.policy(edge, tls);
  if (tls.requireServerName && !policy.knows(host)) return { ok: false, why: 'server-name', last: tlsAlerts.unrecognizedName };
  if (underWay >= tls.handshakesMax) return handshakesOverflow;
  const context = contexts.context(policy, host);
  if (context === null) return { ok: false, why: 'no-certificate', last: tlsAlerts.internalError };
  return { ok: true, options: { context, protocols: tls.alpn.length > 0 ? tls.alpn : spokenProtocols, clientCertificate: tls.clientAuth } };
}

export interface EdgeHello {
  readonly edge: GatewayListener;
  /** How the listener did TLS when the connection came. */
  readonly tls: ListenerTls;
  readonly host: string;
  readonly underWay: number;
}

/** In order of preference. */
const spokenProtocols: readonly string[] = ['h2', 'http/1.1'];
