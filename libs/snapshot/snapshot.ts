import type { Subject } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { EffectiveSettings } from './effective-settings.ts';
import type { RouteDefinition } from './route-definition.ts';

/**
 * Everything one sidecar enforces, decoded and checked: frozen, without wire messages. Parts carry the hash of the
 * resource they were decoded from; the hash of a part covers the settings it refers to, so equal hashes mean equal
 * behaviour, and what is built from a part may be shared by hash. Decoding again with the same cache answers the same
 * objects for the same hashes.
 */
export interface Snapshot {
  readonly subject: Subject;
  readonly version: Version;
  /** SHA-256 (hex) of the manifest. */
  readonly hash: string;
  readonly fleet: FleetSettings;
  /** By port name; empty for gateways. */
  readonly inbounds: ReadonlyMap<string, InboundPort>;
  /** By listener name; empty for services. */
  readonly listeners: ReadonlyMap<string, GatewayListener>;
  /** By service name. */
  readonly destinations: ReadonlyMap<string, CallDestination>;
  /** Sorted by scope, owner and name. */
  readonly routes: readonly RouteDefinition[];
  /** Distinct settings by hash. */
  readonly settings: ReadonlyMap<string, EffectiveSettings>;
}

/** Fleet-wide settings of the Mesh document. */
export interface FleetSettings {
  readonly hash: string;
  readonly trustDomain: string;
  /** What the outbound side does with a host that is no declared destination. */
  readonly unknownDestinations: 'refuse' | 'pass' | 'tls-originate';
  /** Whether the outbound side takes CONNECT: never, or for ports of declared destinations that carry TCP. */
  readonly connect: 'refuse' | 'declared';
  readonly pathRules: PathSpelling;
  /** CIDRs. */
  readonly trustedProxies: readonly string[];
  /** Where sidecars count together; null: this one does not. */
  readonly redis: RedisSettings | null;
}

/** The Redis that sidecars count in. */
export interface RedisSettings {
  readonly mode: 'single' | 'sentinel' | 'cluster';
  /** HOST:PORT of the server, of the Sentinels, or of some nodes. */
  readonly addresses: readonly string[];
  /** Of Sentinels: the master that they watch; else ''. */
  readonly master: string;
  /** null: plain TCP. */
  readonly tls: { readonly serverName: string; readonly caFiles: readonly string[] } | null;
  readonly username: string;
  /** Name of a Secret; '': none. */
  readonly passwordSecret: string;
  readonly sentinelUsername: string;
  readonly sentinelPasswordSecret: string;
  readonly database: number;
  readonly keyPrefix: string;
  /** The longest that a request waits for it. */
  readonly deadlineMs: number;
  readonly allowPrivateAddresses: boolean;
}

/** Spellings of a path that are accepted; everything else is refused with 400. */
export interface PathSpelling {
  readonly allowEncodedSlash: boolean;
  readonly allowBackslash: boolean;
  readonly mergeSlashes: boolean;
  readonly resolveDotSegments: boolean;
  readonly allowSemicolon: boolean;
  readonly allowEncodedControl: boolean;
}

/** `http2` and `grpc`: the app speaks HTTP/2 without TLS, by prior knowledge; `http`: HTTP/1.1. */
export type PortProtocol = 'http' | 'http2' | 'grpc' | 'tcp' | 'tls';

/** Version of the PROXY protocol header that connections begin with; 0: they begin without one. */
export type ProxyProtocolVersion = 0 | 1 | 2;

/** One port of the sidecar's own service. */
export interface InboundPort {
  readonly hash: string;
  readonly name: string;
  readonly port: number;
  readonly protocol: PortProtocol;
  /** What the app expects of its connections. */
  readonly proxyProtocol: ProxyProtocolVersion;
  /** Provider-side settings where no Route matches. */
  readonly settings: EffectiveSettings;
  /** The section `healthCheck` by which the own app is asked, or nothing. */
  readonly appChecks: EffectiveSettings;
  /** null: the fleet's. */
  readonly pathRules: PathSpelling | null;
}

export interface GatewayListener {
  readonly hash: string;
  readonly name: string;
  readonly port: number;
  /** Exact or `*.suffix`, lower case; empty: any. */
  readonly hosts: readonly string[];
  readonly protocol: 'http' | 'https' | 'tcp' | 'tls';
  /** Every request is answered with a redirect to the https listener. */
  readonly redirectToHttps: boolean;
  readonly settings: EffectiveSettings;
  readonly tls: ListenerTls | null;
  /** Every connection begins with a PROXY protocol header. */
  readonly proxyProtocol: boolean;
  /** null: the fleet's. */
  readonly pathRules: PathSpelling | null;
}

/** Files are paths on the host of the sidecar; of a Secret both are `secret:` and its name. */
export interface CertificateSource {
  readonly certFile: string;
  readonly keyFile: string;
  readonly secret: string;
}

export type TlsVersion = '1.2' | '1.3';

export interface ListenerTls {
  readonly certificates: readonly CertificateSource[];
  readonly minVersion: TlsVersion;
  readonly clientCaFiles: readonly string[];
  readonly clientAuth: 'none' | 'optional' | 'required';
  /** OpenSSL's names; empty: all that are accepted. */
  readonly ciphers: readonly string[];
  /** ALPN names in order of preference; empty: all that this build speaks. */
  readonly alpn: readonly string[];
  /** Clients that ask for no host, or one that no certificate names, are refused. */
  readonly requireServerName: boolean;
  readonly handshakeTimeoutMs: number;
  /** Handshakes under way, for each data thread. */
  readonly handshakesMax: number;
}

/** TLS to endpoints that speak it themselves. */
export interface UpstreamTls {
  /** '': the endpoint's own address. */
  readonly serverName: string;
  /** Host names or URIs; empty: the server name alone. */
  readonly acceptedNames: readonly string[];
  /** Empty: the roots of the system. */
  readonly caFiles: readonly string[];
  readonly verify: 'full' | 'none';
  readonly minVersion: TlsVersion;
  readonly ciphers: readonly string[];
  /** Empty: by the port's protocol. */
  readonly alpn: readonly string[];
  readonly clientCertificate: CertificateSource | null;
}

/** A service that may be called. */
export interface CallDestination {
  readonly hash: string;
  readonly service: string;
  readonly ports: readonly DestinationPort[];
  /** Caller-side settings where none of the service's Routes matches. */
  readonly settings: EffectiveSettings;
  /** null: the fleet's. */
  readonly pathRules: PathSpelling | null;
}

export interface DestinationPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: PortProtocol;
  /** How endpoints that are no sidecars are secured; null: not at all. */
  readonly tls: UpstreamTls | null;
  /** What endpoints that are no sidecars expect. */
  readonly proxyProtocol: ProxyProtocolVersion;
}

/** What holds where no Mesh document says otherwise: the strictest. */
export const strictPathSpelling: PathSpelling = Object.freeze({
  allowEncodedSlash: false,
  allowBackslash: false,
  mergeSlashes: false,
  resolveDotSegments: false,
  allowSemicolon: false,
  allowEncodedControl: false,
});

export const defaultFleet: FleetSettings = Object.freeze({
  hash: '',
  trustDomain: '',
  unknownDestinations: 'refuse',
  connect: 'refuse',
  pathRules: strictPathSpelling,
  trustedProxies: Object.freeze([]),
  redis: null,
});
