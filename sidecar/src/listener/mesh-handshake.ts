import { tcpProtocol } from '../tls/mesh-security.ts';
import type { MeshServer } from '../tls/mesh-server.ts';
import { handshakesOverflow, type HandshakeVerdict } from './handshake-verdict.ts';
import { meshHandshakesMax, meshProtocols } from './mesh-terms.ts';
import { tlsAlerts } from './tls-alerts.ts';

/** How an inbound port answers the ClientHello of a caller of the mesh. `requests`: the port carries them, not TCP. `underWay`: handshakes of the listener now. */
export function meshHandshake(mesh: MeshServer, { trustDomains, requests, underWay, nowMs }: MeshHello): HandshakeVerdict {
  if (underWay >= meshHandshakesMax) return handshakesOverflow;
  const context = mesh.context(trustDomains, nowMs);
  if (context === null) return { ok: false, why: 'no-certificate', last: tlsAlerts.internalError };
  // Whether a certificate is wanted is decided for each request: a probe may come over TLS without one.
  return { ok: true, options: { context, protocols: requests ? meshProtocols : tcpProtocols, clientCertificate: 'optional' } };
}

export interface MeshHello {
  readonly trustDomains: readonly string[];
  readonly requests: boolean;
  readonly underWay: number;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

const tcpProtocols: readonly string[] = [tcpProtocol];
