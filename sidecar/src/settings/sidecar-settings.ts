import type { Subject } from '@remora/core/subject';
import type { JoinToken } from '@remora/identity/join-token';
import type { LogLevel } from '../telemetry/log.ts';

/** Everything that is fixed when a sidecar starts. Times in milliseconds. See table.ts for what each means. */
export interface SidecarSettings {
  readonly subject: Subject;
  readonly controlPlanes: readonly string[];
  /** '': kept in the data directory, made at the first start. */
  readonly nodeId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: string;
  /** By port name; '' for the bare value. */
  readonly apps: ReadonlyMap<string, HostPort>;
  readonly inbounds: ReadonlyMap<string, HostPort>;
  /** null: no outbound side. */
  readonly outbound: HostPort | null;
  readonly outboundFor: ReadonlyMap<string, HostPort>;
  /** Gateways: where listeners are bound instead of what their document says. */
  readonly listeners: ReadonlyMap<string, HostPort>;
  readonly listenHost: string;
  /** By port name; '' for all. Port 0: the bound one. */
  readonly advertise: ReadonlyMap<string, HostPort>;
  readonly admin: HostPort;
  readonly adminAllowRemote: boolean;
  /** null: there is no port for probes. */
  readonly health: HostPort | null;
  readonly dataDir: string;
  readonly workers: number;
  /** 0: what the container allows, where it says. */
  readonly memoryLimitBytes: number;
  readonly withoutKinds: readonly string[];
  readonly onNoSnapshot: 'wait' | 'refuse';
  readonly startTimeoutMs: number;
  readonly drainDelayMs: number;
  readonly drainTimeoutMs: number;
  readonly telemetryIntervalMs: number;
  readonly otlpEndpoint: string;
  readonly otlpSpans: 'requests' | 'operations' | 'none';
  /** 0 to 1. */
  readonly otlpSampling: number;
  readonly logLevel: LogLevel;
  /** 32 bytes: files in the data directory are encrypted with it; null: in the open. Never logged. */
  readonly diskKey: Buffer | null;
  /** null: nobody on the connection to the control plane is authenticated. */
  readonly identity: IdentitySettings | null;
}

export interface IdentitySettings {
  /** null: the certificate is on the disk. */
  readonly token: JoinToken | null;
  /** Where certificates come from: tried in turn. */
  readonly enrolment: readonly HostPort[];
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}
