import type { HealthCheckSettings } from '@remora/policy-health-check/wire';
import type { DestinationPort } from '@remora/snapshot/snapshot';
import type { KnownHost } from '../upstream/host-slots.ts';

/** One question to one host. */
export interface ProbeQuestion {
  /** The host as it is asked: perhaps at another port than the one that is judged. */
  readonly host: KnownHost;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  readonly settings: HealthCheckSettings;
  /** How endpoints that are no sidecars are secured; null: not at all. */
  readonly tls: DestinationPort['tls'];
}

/** What came of it: `problem` '' is good, else a few words such as `503` or `no answer in time`. */
export interface ProbeAnswer {
  readonly problem: string;
}

/** Asks hosts. Never rejects. */
export interface HealthProbe {
  ask(question: ProbeQuestion): Promise<ProbeAnswer>;
}
