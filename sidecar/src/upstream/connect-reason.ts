import { reasons, type Reason } from '@remora/errors/reason';
import { handshakeCutFailure, noContextFailure, peerNameFailure, protocolFailure } from '../io/tls-socket.ts';

/**
 * Why a connection to an upstream could not be made, from the code of the system or of OpenSSL that its link broke with. `proves`: the upstream was to prove
 * of which service it is.
 */
export function connectReason(failure: string, proves: boolean): Reason {
  if (failure === '') return reasons.connectFailure;
  // Whoever is to prove who it is may also have been killed within the handshake.
  if (failure === handshakeCutFailure) return proves ? reasons.connectFailure : reasons.upstreamTlsFailed;
  const reason = tlsReason(failure);
  return proves && reason !== reasons.connectFailure ? reasons.upstreamIdentity : reason;
}

function tlsReason(failure: string): Reason {
  if (failure === peerNameFailure) return reasons.upstreamTlsName;
  if (untrusted.has(failure)) return reasons.upstreamTlsUntrusted;
  if (failure === noContextFailure) return reasons.upstreamTlsConfiguration;
  return failure === protocolFailure || failure.startsWith('ERR_SSL_') || failure === 'EPROTO' ? reasons.upstreamTlsFailed : reasons.connectFailure;
}

/** OpenSSL's words for a chain that leads to no trusted authority, or is not valid now. */
const untrusted: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'CERT_UNTRUSTED', 'CERT_REJECTED', 'CERT_REVOKED', 'CERT_SIGNATURE_FAILURE', 'CERT_CHAIN_TOO_LONG', 'INVALID_CA',
  'INVALID_PURPOSE', 'PATH_LENGTH_EXCEEDED', 'UNSPECIFIED',
]);
