import type { GatewayDocument } from '@remora/model/gateway-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import { parseDurationMs } from '@remora/core/units';
import type { CertificateSource, ListenerTls, UpstreamTls } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

type ListenerDocument = NonNullable<GatewayDocument['listeners'][string]['tls']>;
type UpstreamDocument = NonNullable<ServiceDocument['ports'][string]['tls']>;

/** TLS of a listener as sidecars read it; defaults are theirs, so that they can change without new snapshots. */
export function wireListenerTls(tls: ListenerDocument | undefined): ListenerTls | undefined {
  if (tls === undefined) return undefined;
  return {
    certificates: tls.certificates.map(wireCertificate),
    minVersion: tls.minVersion ?? '',
    clientCaFiles: tls.clientCaFiles ?? [],
    ciphers: tls.ciphers ?? [],
    clientAuth: tls.clientAuth ?? '',
    alpn: tls.alpn ?? [],
    requireServerName: tls.requireServerName ?? false,
    handshakeTimeoutMs: tls.handshakeTimeout === undefined ? 0 : parseDurationMs(tls.handshakeTimeout) ?? 0,
    handshakesMax: tls.handshakesMax ?? 0,
  };
}

/** `found`: the name that addresses of the service are found by, so that they say nothing themselves. */
export function wireUpstreamTls(tls: UpstreamDocument | undefined, found = ''): UpstreamTls | undefined {
  if (tls === undefined) return undefined;
  return {
    serverName: (tls.serverName ?? found.replace(/\.$/, '')).toLowerCase(),
    acceptedNames: tls.acceptedNames ?? [],
    caFiles: tls.caFiles ?? [],
    verify: tls.verify ?? '',
    minVersion: tls.minVersion ?? '',
    ciphers: tls.ciphers ?? [],
    alpn: tls.alpn ?? [],
    clientCertificate: tls.clientCertificate && wireCertificate(tls.clientCertificate),
  };
}

function wireCertificate({ secret, certFile, keyFile }: ListenerDocument['certificates'][number]): CertificateSource {
  return { certFile: certFile ?? '', keyFile: keyFile ?? '', secret: secret ?? '' };
}
