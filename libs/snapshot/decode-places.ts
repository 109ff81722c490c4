import type { Destination, Fleet, Inbound, Listener, PathRules, RedisStore } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { decodeListenerTls, decodeUpstreamTls } from './decode-tls.ts';
import type { FieldCheck } from './field-check.ts';
import type { SettingsLookup } from './settings-lookup.ts';
import {
  strictPathSpelling, type CallDestination, type FleetSettings, type GatewayListener, type InboundPort, type PathSpelling, type PortProtocol,
  type ProxyProtocolVersion, type RedisSettings,
} from './snapshot.ts';

const protocols: readonly PortProtocol[] = ['http', 'http2', 'grpc', 'tcp', 'tls'];
const ports = { min: 1, max: 65_535 };

/** Wire Fleet to frozen settings; pointers are those of the Mesh document. */
export function decodeFleet(wire: Fleet, hash: string, check: FieldCheck): FleetSettings {
  return Object.freeze({
    hash,
    trustDomain: check.text(wire.trustDomain, '/trustDomain', 255),
    unknownDestinations: check.oneOf(wire.unknownDestinations || 'refuse', ['refuse', 'pass', 'tls-originate'], '/unknownDestinations'),
    connect: check.oneOf(wire.connect || 'refuse', ['refuse', 'declared'], '/connect'),
    pathRules: decodePathRules(wire.pathRules) ?? strictPathSpelling,
    trustedProxies: check.texts(wire.trustedProxies, '/trustedProxies'),
    redis: wire.redis === undefined ? null : decodeRedis(wire.redis, check),
  });
}

function decodeRedis(wire: RedisStore, check: FieldCheck): RedisSettings {
  const at = '/stores/redis';
  check.count(wire.addresses, at, 32);
  if (wire.addresses.length === 0) check.fail(at, 'missing-field', 'it has no address');
  return Object.freeze({
    mode: check.oneOf(wire.mode, ['single', 'sentinel', 'cluster'], `${at}/mode`),
    addresses: check.texts(wire.addresses, at),
    master: check.text(wire.master, `${at}/sentinel/master`, 128),
    tls: wire.tls ? Object.freeze({ serverName: check.text(wire.serverName, `${at}/tls/serverName`, 253), caFiles: check.texts(wire.caFiles, `${at}/tls/caFiles`) }) : null,
    username: check.text(wire.username, `${at}/username`, 256),
    passwordSecret: check.text(wire.passwordSecret, `${at}/password`, 127),
    sentinelUsername: check.text(wire.sentinelUsername, `${at}/sentinel/username`, 256),
    sentinelPasswordSecret: check.text(wire.sentinelPasswordSecret, `${at}/sentinel/password`, 127),
    database: check.range(wire.database, `${at}/database`, { min: 0, max: 1_023 }),
    keyPrefix: check.text(wire.keyPrefix, `${at}/keyPrefix`, 64),
    deadlineMs: check.range(wire.deadlineMs, `${at}/deadline`, { min: 1, max: 1_000 }),
    allowPrivateAddresses: wire.allowPrivateAddresses,
  });
}

export function decodeInbound(wire: Inbound, hash: string, check: FieldCheck, settings: SettingsLookup): InboundPort {
  return Object.freeze({
    hash,
    name: check.required(wire.portName, '/ports'),
    port: check.range(wire.port, `/ports/${wire.portName}/port`, ports),
    protocol: check.oneOf(wire.protocol || 'http', protocols, `/ports/${wire.portName}/protocol`),
    proxyProtocol: decodeProxyProtocol(wire.proxyProtocol, wire.portName, check),
    settings: settings.find(wire.settings, check),
    appChecks: settings.find(wire.appChecks, check),
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
    tls: decodeListenerTls(wire.tls, `${base}/tls`, check),
    proxyProtocol: check.oneOf(wire.proxyProtocol, ['', 'required'], `${base}/proxyProtocol`) === 'required',
    pathRules: decodePathRules(wire.pathRules),
  });
}

export function decodeDestination(wire: Destination, hash: string, check: FieldCheck, settings: SettingsLookup): CallDestination {
  check.count(wire.ports, '/ports', 256);
  return Object.freeze({
    hash,
    service: check.required(wire.service, '/name'),
    ports: Object.freeze(wire.ports.map(({ name, port, protocol, tls, proxyProtocol }) => Object.freeze({
      name: check.required(name, '/ports'),
      port: check.range(port, `/ports/${name}/port`, ports),
      protocol: check.oneOf(protocol || 'http', protocols, `/ports/${name}/protocol`),
      tls: decodeUpstreamTls(tls, `/ports/${name}/tls`, check),
      proxyProtocol: decodeProxyProtocol(proxyProtocol, name, check),
    }))),
    settings: settings.find(wire.settings, check),
    pathRules: decodePathRules(wire.pathRules),
  });
}

function decodeProxyProtocol(version: string, port: string, check: FieldCheck): ProxyProtocolVersion {
  const known = check.oneOf(version, ['', 'v1', 'v2'], `/ports/${port}/proxyProtocol`);
  return known === 'v1' ? 1 : known === 'v2' ? 2 : 0;
}

function decodePathRules(wire: PathRules | undefined): PathSpelling | null {
  if (wire === undefined) return null;
  return Object.freeze({
    allowEncodedSlash: wire.allowEncodedSlash,
    allowBackslash: wire.allowBackslash,
    mergeSlashes: wire.mergeSlashes,
    resolveDotSegments: wire.resolveDotSegments,
    allowSemicolon: wire.allowSemicolon,
    allowEncodedControl: wire.allowEncodedControl,
  });
}
