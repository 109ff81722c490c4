import type { HealthCheckSettings } from '@remora/policy-health-check/wire';
import type { EndpointPort, ServiceEndpoint } from '@remora/snapshot/decode-endpoints';
import type { DestinationPort, ProxyProtocolVersion } from '@remora/snapshot/snapshot';

/** Who is asked: a host that callers know, or the own app. */
export interface ProbedHost {
  readonly service: string;
  /** `host:port`. */
  readonly address: string;
  readonly at: Pick<EndpointPort, 'host' | 'port' | 'plaintext'>;
  readonly endpoint: Pick<ServiceEndpoint, 'source' | 'mtls'>;
}

/** One question to one host. */
export interface ProbeQuestion {
  /** The host as it is asked: perhaps at another port than the one that is judged. */
  readonly host: ProbedHost;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  /** HTTP is asked over HTTP/2: whoever is behind the port speaks nothing else. */
  readonly http2: boolean;
  readonly settings: HealthCheckSettings;
  /** How endpoints that are no sidecars are secured; null: not at all. */
  readonly tls: DestinationPort['tls'];
  /** Header that connections to endpoints that are no sidecars begin with; 0: none. */
  readonly proxyProtocol: ProxyProtocolVersion;
}

/** What came of it: `problem` '' is good, else a few words such as `503` or `no answer in time`. */
export interface ProbeAnswer {
  readonly problem: string;
}

/** Asks hosts. Never rejects. */
export interface HealthProbe {
  ask(question: ProbeQuestion): Promise<ProbeAnswer>;
}
