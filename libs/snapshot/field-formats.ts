import type { Resource } from '@remora/proto/gen/remora/snapshot/v1/snapshot';

type FieldFormat = number | readonly [since: number, message: string];

/**
 * The format of snapshots that introduced each field of what a manifest reaches; with a message, its name. A build of an earlier format would pass
 * over the field without a word, so a manifest that uses it says the format, and such a build refuses it. A new field goes here with a format
 * above that of the last release, which `snapshotFormat` must equal.
 */
export const fieldFormats: Readonly<Record<string, Readonly<Record<string, FieldFormat>>>> = {
  Fleet: { trustDomain: 1, unknownDestinations: 1, pathRules: [1, 'PathRules'], trustedProxies: 1, connect: 2, redis: [2, 'RedisStore'] },
  RedisStore: {
    mode: 2, addresses: 2, master: 2, tls: 2, serverName: 2, caFiles: 2, username: 2, passwordSecret: 2, sentinelUsername: 2, sentinelPasswordSecret: 2, database: 2, keyPrefix: 2,
    deadlineMs: 2, allowPrivateAddresses: 2,
  },
  PathRules: { allowEncodedSlash: 1, allowBackslash: 1, mergeSlashes: 1, resolveDotSegments: 1, allowSemicolon: 1, allowEncodedControl: 2 },
  Inbound: { portName: 1, port: 1, protocol: 1, settings: 1, pathRules: [1, 'PathRules'], proxyProtocol: 2, appChecks: 2 },
  Listener: { name: 1, port: 1, hosts: 1, protocol: 1, redirect: 1, settings: 1, tls: [1, 'ListenerTls'], pathRules: [1, 'PathRules'], proxyProtocol: 2 },
  ListenerTls: {
    certificates: [1, 'CertificateSource'], minVersion: 1, clientCaFiles: 1, ciphers: 1, clientAuth: 2, alpn: 2, requireServerName: 2, handshakeTimeoutMs: 2,
    handshakesMax: 2,
  },
  CertificateSource: { certFile: 1, keyFile: 1, secret: 1 },
  Destination: { service: 1, ports: [1, 'DestinationPort'], settings: 1, pathRules: [1, 'PathRules'] },
  DestinationPort: { name: 1, port: 1, protocol: 1, tls: [2, 'UpstreamTls'], proxyProtocol: 2 },
  UpstreamTls: { serverName: 2, acceptedNames: 2, caFiles: 2, verify: 2, minVersion: 2, ciphers: 2, alpn: 2, clientCertificate: [2, 'CertificateSource'] },
  Route: {
    name: 1, owner: 1, scope: 1, ports: 1, priority: 1, match: [1, 'Match'], forward: [1, 'Forward'], redirect: [1, 'Redirect'], respond: [1, 'Respond'],
    settings: 1, callerOverrides: [1, 'CallerOverride'], rewrite: [1, 'Rewrite'],
  },
  CallerOverride: { service: 1, route: 1, settings: 1 },
  Match: {
    hosts: 1, path: [1, 'PathMatch'], methods: 1, headers: [1, 'ValueMatch'], query: [1, 'ValueMatch'], cookies: [1, 'ValueMatch'], version: [1, 'VersionMatch'],
    grpc: [1, 'GrpcMatch'],
  },
  PathMatch: { exact: 1, prefix: 1, template: 1, regex: 1 },
  ValueMatch: { name: 1, exact: 1, prefix: 1, regex: 1, present: 1, invert: 1 },
  VersionMatch: { value: 1, header: 1, query: 1, pathSegment: 1, mediaTypeParameter: 1 },
  GrpcMatch: { service: 1, method: 1 },
  Forward: { targets: [1, 'WeightedTarget'], stickyHeader: 2 },
  WeightedTarget: { service: 1, port: 1, labels: [1, 'Label'], weight: 1 },
  Label: { key: 1, value: 1 },
  Rewrite: { prefix: 1, template: 1, stripSegments: 1, host: 1 },
  Redirect: { status: 1, scheme: 1, host: 1, port: 1, rewrite: [1, 'Rewrite'], keepQuery: 1 },
  Respond: { status: 1, headers: [1, 'HeaderValue'], body: 1, contentType: 1, delayMs: 1 },
  HeaderValue: { name: 1, value: 1 },
  Settings: { sections: [1, 'Section'] },
  Section: { kind: 1, minFormat: 1, body: 1, shadow: 1, origins: [1, 'Origin'] },
  Origin: { pointer: 1, policy: 1 },
};

/** The lowest format that a build must read to understand all that the resource says: of the fields in it that are not at their default. */
export function neededFormat(body: Resource['body']): number {
  if (body === undefined || body.$case === 'page') return firstFormat;
  return neededBy(messageOf(body.$case), body.value);
}

function neededBy(message: string, value: object): number {
  if (newestIn(message) === firstFormat) return firstFormat;
  let format = firstFormat;
  for (const [key, content] of Object.entries(value)) format = Math.max(format, isChoice(content) ? neededByField(message, content.$case, content.value) : neededByField(message, key, content));
  return format;
}

function neededByField(message: string, field: string, value: unknown): number {
  if (isDefault(value)) return firstFormat;
  const known = fieldFormats[message]?.[field];
  // Not said since when: whoever does not know it must not read it. A test names it before anybody is hurt.
  if (known === undefined) return newestFormat;
  if (typeof known === 'number') return known;
  const [since, of] = known;
  return (Array.isArray(value) ? value : [value]).reduce((format: number, one: object) => Math.max(format, neededBy(of, one)), since);
}

/** Of a `oneof`: set, whatever its value is. */
function isChoice(value: unknown): value is { readonly $case: string; readonly value: unknown } {
  return typeof value === 'object' && value !== null && '$case' in value;
}

/** What proto3 does not write; a message that is there is no default, however empty. */
function isDefault(value: unknown): boolean {
  if (value === undefined || value === '' || value === 0 || value === false) return true;
  return (Array.isArray(value) || value instanceof Uint8Array) && value.length === 0;
}

const newest = new Map<string, number>();

/** Most messages have nothing but what was there from the beginning, and are not looked into. */
function newestIn(message: string): number {
  const known = newest.get(message);
  if (known !== undefined) return known;
  newest.set(message, firstFormat);
  const made = Object.values(fieldFormats[message] ?? {}).reduce<number>((format, field) => Math.max(format, typeof field === 'number' ? field : Math.max(field[0], newestIn(field[1]))), firstFormat);
  newest.set(message, made);
  return made;
}

/** `fleet` to `Fleet`. */
function messageOf(body: string): string {
  return body.charAt(0).toUpperCase() + body.slice(1);
}

const firstFormat = 1;
/** The highest format that any field has. */
export const newestFormat = Math.max(...Object.values(fieldFormats).flatMap((fields) => Object.values(fields).map((field) => (typeof field === 'number' ? field : field[0]))));
