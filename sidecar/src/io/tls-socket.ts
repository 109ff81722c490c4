import type net from 'node:net';
import tls from 'node:tls';
import { X509Certificate } from 'node:crypto';

/** How an accepted connection is secured. */
export interface ServerTlsOptions {
  readonly context: tls.SecureContext;
  /** ALPN names that are accepted, in order of preference. */
  readonly protocols: readonly string[];
  /** `required`: a client without a certificate is refused by the handshake. Whether it is a good one is asked for with `LinkSecurity.peerProblem`. */
  readonly clientCertificate: 'none' | 'optional' | 'required';
}

/** How a connection to an upstream is secured. */
export interface ClientTlsOptions {
  /** Sent before TLS begins; null: nothing. */
  readonly header: Uint8Array | null;
  /** null: it cannot be made; the connection fails at once. */
  readonly context: tls.SecureContext | null;
  /** SNI; '' sends none. */
  readonly serverName: string;
  /** ALPN names offered, in order of preference; empty: none. */
  readonly protocols: readonly string[];
  /** What ALPN must have chosen; '' where anything goes. */
  readonly required: string;
  /** Whether a chain that leads to no trusted root ends the connection. */
  readonly verifyChain: boolean;
  /**
   * What is wrong with the certificate of the peer, '' where nothing is; `intermediates`: what it showed beside it. Asked for full handshakes; what is resumed
   * was checked then.
   */
  readonly checkPeer: (certificate: X509Certificate, intermediates: readonly X509Certificate[]) => string;
  /** To resume; absent for none. */
  readonly session?: Buffer;
  /** Each ticket that the peer gives for later. */
  readonly onSession: (session: Buffer) => void;
  /** How the handshake ended: `full`, `resumed`, or `failed`. */
  readonly onEnd: (outcome: 'full' | 'resumed' | 'failed') => void;
}

/**
 * Wraps an accepted socket, giving TLS the bytes that were read already. Never `tls.Server`: its SNI callback is not called for resumed
 * sessions (exchange.md section 4).
 */
export function wrapServer(raw: net.Socket, first: Uint8Array, options: ServerTlsOptions): tls.TLSSocket {
  raw.pause();
  raw.removeAllListeners('data');
  raw.unshift(first);
  return new tls.TLSSocket(raw, {
    isServer: true,
    secureContext: options.context,
    requestCert: options.clientCertificate !== 'none',
    // OpenSSL ends the handshake where no certificate comes; where a bad one comes Node leaves it to the caller.
    rejectUnauthorized: options.clientCertificate === 'required',
    ALPNProtocols: alpnBytes(options.protocols),
  });
}

/** As they are sent (RFC 7301 section 3.1): made once for each list, not for each connection. */
export function alpnBytes(protocols: readonly string[]): Buffer {
  let bytes = alpnLists.get(protocols);
  if (bytes === undefined) {
    bytes = Buffer.concat(protocols.map((name) => Buffer.from([name.length, ...Buffer.from(name, 'latin1')])));
    alpnLists.set(protocols, bytes);
  }
  return bytes;
}

const alpnLists = new WeakMap<readonly string[], Buffer>();

/** Opens a connection with TLS, whose reads go where `onread` says, or goes on with TLS on `socket`. */
export function openClient(
  address: { readonly host: string; readonly port: number }, options: ClientTlsOptions, dial: (options: tls.ConnectionOptions) => tls.TLSSocket,
  way: { readonly onread: object } | { readonly socket: net.Socket },
): tls.TLSSocket {
  const { context, serverName, protocols, verifyChain, session } = options;
  const dialing = {
    host: address.host, port: address.port, noDelay: true, allowHalfOpen: true, ...way,
    ...(context && { secureContext: context }), ...(serverName !== '' && { servername: serverName }), ...(protocols.length > 0 && { ALPNProtocols: [...protocols] }),
    rejectUnauthorized: verifyChain,
    checkServerIdentity: (_host: string, shown: tls.PeerCertificate) => peerError(options, shown),
    ...(session && { session }),
  };
  return dial(dialing);
}

/** undefined: the peer is who it should be. */
function peerError(options: ClientTlsOptions, shown: tls.PeerCertificate | tls.DetailedPeerCertificate): Error | undefined {
  const problem = options.checkPeer(new X509Certificate(shown.raw), intermediatesOf(shown));
  return problem === '' ? undefined : Object.assign(new Error(problem), { code: peerNameFailure });
}

/** A certificate that issued itself ends the chain. */
function intermediatesOf(leaf: tls.PeerCertificate | tls.DetailedPeerCertificate): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (let at = leaf; 'issuerCertificate' in at && at.issuerCertificate !== at && found.length < intermediatesMax; at = at.issuerCertificate) {
    // Absent where the chain stops short of a root.
    if ((at.issuerCertificate as tls.DetailedPeerCertificate | undefined) === undefined) break;
    found.push(new X509Certificate(at.issuerCertificate.raw));
  }
  return found;
}

const intermediatesMax = 8;

/** `failure` of a link where the certificate is not for the peer that was wanted. */
export const peerNameFailure = 'ERR_TLS_CERT_ALTNAME_INVALID';
/** `failure` of a link where the peer does not speak what it must. */
export const protocolFailure = 'ERR_TLS_NO_COMMON_PROTOCOL';
/** `failure` of a link whose peer was connected, and left or reset the connection within the handshake: many refuse certificates so. */
export const handshakeCutFailure = 'HANDSHAKE_CUT';
/** `failure` of a link where certificates or authorities of our own are missing. */
export const noContextFailure = 'ERR_TLS_NO_CONTEXT';
