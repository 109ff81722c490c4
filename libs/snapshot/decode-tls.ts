import type { CertificateSource as WireSource, ListenerTls as WireTls, UpstreamTls as WireUpstream } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { FieldCheck } from './field-check.ts';
import type { CertificateSource, ListenerTls, TlsVersion, UpstreamTls } from './snapshot.ts';

/** Null where the listener has no TLS. */
export function decodeListenerTls(wire: WireTls | undefined, pointer: string, check: FieldCheck): ListenerTls | null {
  if (wire === undefined) return null;
  check.count(wire.certificates, `${pointer}/certificates`, 256);
  const clientAuth = check.oneOf(wire.clientAuth, ['', 'optional', 'required'], `${pointer}/clientAuth`);
  return Object.freeze({
    certificates: Object.freeze(wire.certificates.map((source, i) => decodeSource(source, `${pointer}/certificates/${i}`, check))),
    minVersion: decodeVersion(wire.minVersion, `${pointer}/minVersion`, check),
    clientCaFiles: check.texts(wire.clientCaFiles, `${pointer}/clientCaFiles`),
    clientAuth: wire.clientCaFiles.length === 0 ? 'none' : clientAuth || 'required',
    ciphers: decodeCiphers(wire.ciphers, `${pointer}/ciphers`, check),
    alpn: decodeAlpn(wire.alpn, `${pointer}/alpn`, check),
    requireServerName: wire.requireServerName,
    handshakeTimeoutMs: check.range(wire.handshakeTimeoutMs || defaultHandshakeTimeoutMs, `${pointer}/handshakeTimeout`, { min: 100, max: 600_000 }),
    handshakesMax: check.range(wire.handshakesMax || defaultHandshakesMax, `${pointer}/handshakesMax`, { min: 1, max: 1_000_000 }),
  });
}

/** Null where endpoints are connected without TLS. */
export function decodeUpstreamTls(wire: WireUpstream | undefined, pointer: string, check: FieldCheck): UpstreamTls | null {
  if (wire === undefined) return null;
  return Object.freeze({
    serverName: check.text(wire.serverName, `${pointer}/serverName`, 253),
    acceptedNames: check.texts(wire.acceptedNames, `${pointer}/acceptedNames`),
    caFiles: check.texts(wire.caFiles, `${pointer}/caFiles`),
    verify: check.oneOf(wire.verify || 'full', ['full', 'none'], `${pointer}/verify`),
    minVersion: decodeVersion(wire.minVersion, `${pointer}/minVersion`, check),
    ciphers: decodeCiphers(wire.ciphers, `${pointer}/ciphers`, check),
    alpn: decodeAlpn(wire.alpn, `${pointer}/alpn`, check),
    clientCertificate: wire.clientCertificate === undefined ? null : decodeSource(wire.clientCertificate, `${pointer}/clientCertificate`, check),
  });
}

function decodeSource({ certFile, keyFile, secret }: WireSource, pointer: string, check: FieldCheck): CertificateSource {
  if (secret !== '') {
    if (!secretName.test(secret) || certFile !== '' || keyFile !== '') check.fail(`${pointer}/secret`, 'invalid-value', 'is no name of a Secret that stands alone');
    // No file has such a name: paths begin with a slash.
    return Object.freeze({ certFile: `${secretPrefix}${secret}`, keyFile: `${secretPrefix}${secret}`, secret });
  }
  return Object.freeze({
    certFile: check.required(certFile, `${pointer}/certFile`),
    keyFile: check.required(keyFile, `${pointer}/keyFile`),
    secret,
  });
}

/** What stands for the text of a Secret where otherwise a path is. */
export const secretPrefix = 'secret:';
const secretName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,126}$/;

function decodeVersion(version: string, pointer: string, check: FieldCheck): TlsVersion {
  return check.oneOf(version || '1.2', ['1.2', '1.3'], pointer);
}

/** OpenSSL joins them with characters that none may have. */
function decodeCiphers(names: readonly string[], pointer: string, check: FieldCheck): readonly string[] {
  names.forEach((name, i) => {
    if (!/^[A-Z0-9_-]{1,64}$/.test(name)) check.fail(`${pointer}/${i}`, 'invalid-value', 'is no cipher suite');
  });
  return check.texts(names, pointer);
}

function decodeAlpn(names: readonly string[], pointer: string, check: FieldCheck): readonly string[] {
  names.forEach((name, i) => check.oneOf(name, ['h2', 'http/1.1'], `${pointer}/${i}`));
  return check.texts(names, pointer);
}

export const defaultHandshakeTimeoutMs = 10_000;
export const defaultHandshakesMax = 1_000;
