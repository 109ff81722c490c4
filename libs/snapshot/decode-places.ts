import type { Destination, Fleet, Inbound, Listener, ListenerTls as WireTls, PathRules } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { FieldCheck } from './field-check.ts';
import type { SettingsLookup } from './settings-lookup.ts';
import {
  strictPathSpelling, type CallDestination, type FleetSettings, type GatewayListener, type InboundPort, type ListenerTls, type PathSpelling, type PortProtocol,
} from './snapshot.ts';

const protocols: readonly PortProtocol[] = ['http', 'http2', 'grpc', 'tcp', 'tls'];
const ports = { min: 1, max: 65_535 };

/** Wire Fleet to frozen settings; pointers are those of the Mesh document. */
export function decodeFleet(wire: Fleet, hash: string, check: FieldCheck): FleetSettings {
  return Object.freeze({
    hash,
    trustDomain: check.text(wire.trustDomain, '/trustDomain', 255),
    unknownDestinations: check.oneOf(wire.unknownDestinations || 'refuse', ['refuse', 'pass'], '/unknownDestinations'),
    pathRules: decodePathRules(wire.pathRules) ?? strictPathSpelling,
    trustedProxies: check.texts(wire.trustedProxies, '/trustedProxies'),
  });
}

export function decodeInbound(wire: Inbound, hash: string, check: FieldCheck, settings: SettingsLookup): InboundPort {
  return Object.freeze({
    hash,
    name: check.required(wire.portName, '/ports'),
    port: check.range(wire.port, `/ports/${wire.portName}/port`, ports),
    protocol: check.oneOf(wire.protocol || 'http', protocols, `/ports/${wire.portName}/protocol`),
    settings: settings.find(wire.settings, check),
    pathRules: decodePathRules(wire.pathRules),
  });
}

export function decodeListener(wire: Listener, hash: string, check: FieldCheck, settings: SettingsLookup): GatewayListener {
  const base = `/listeners/${wire.name}`;
  return Object.freeze({
    hash,
    name: check.required(wire.name, '/listeners'),
    port: check.range(wire.port, `${base}/port`, { min: 0, max: 65_535 }),
    hosts: check.texts(wire.hosts, `${base}/hosts`),
    protocol: check.oneOf(wire.protocol || 'http', ['http', 'https', 'tcp', 'tls'], `${base}/protocol`),
    redirectToHttps: check.oneOf(wire.redirect, ['', 'https'], `${base}/redirect`) === 'https',
    settings: settings.find(wire.settings, check),
    tls: decodeTls(wire.tls, `${base}/tls`, check),
    pathRules: decodePathRules(wire.pathRules),
  });
}

export function decodeDestination(wire: Destination, hash: string, check: FieldCheck, settings: SettingsLookup): CallDestination {
  check.count(wire.ports, '/ports', 256);
  return Object.freeze({
    hash,
    service: check.required(wire.service, '/name'),
    ports: Object.freeze(wire.ports.map(({ name, port, protocol }) => Object.freeze({
      name: check.required(name, '/ports'),
      port: check.range(port, `/ports/${name}/port`, ports),
      protocol: check.oneOf(protocol || 'http', protocols, `/ports/${name}/protocol`),
    }))),
    settings: settings.find(wire.settings, check),
    pathRules: decodePathRules(wire.pathRules),
  });
}

function decodeTls(wire: WireTls | undefined, pointer: string, check: FieldCheck): ListenerTls | null {
  if (wire === undefined) return null;
  check.count(wire.certificates, `${pointer}/certificates`, 256);
  return Object.freeze({
    certificates: Object.freeze(wire.certificates.map(({ certFile, keyFile, secret }, i) => Object.freeze({
      certFile: check.text(certFile, `${pointer}/certificates/${i}/certFile`),
      keyFile: check.text(keyFile, `${pointer}/certificates/${i}/keyFile`),
      secret: check.text(secret, `${pointer}/certificates/${i}/secret`),
    }))),
    minVersion: check.oneOf(wire.minVersion, ['', '1.2', '1.3'], `${pointer}/minVersion`),
    clientCaFiles: check.texts(wire.clientCaFiles, `${pointer}/clientCertificates`),
    ciphers: check.texts(wire.ciphers, `${pointer}/ciphers`),
  });
}

function decodePathRules(wire: PathRules | undefined): PathSpelling | null {
  if (wire === undefined) return null;
  return Object.freeze({
    allowEncodedSlash: wire.allowEncodedSlash,
    allowBackslash: wire.allowBackslash,
    mergeSlashes: wire.mergeSlashes,
    resolveDotSegments: wire.resolveDotSegments,
    allowSemicolon: wire.allowSemicolon,
  });
}
