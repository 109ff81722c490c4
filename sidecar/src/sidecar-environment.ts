import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { RuntimeKinds } from '@remora/snapshot/decode';
import type { AppProbe } from './config/app-readiness.ts';
import type { ProcessFacts } from './config/config-client.ts';
import type { ControlConnector } from './config/control-stream.ts';
import type { SnapshotDisk } from './config/snapshot-disk.ts';
import type { HelperClient } from './helpers/helper-client.ts';
import type { IssuerKeyDisk } from './issuer-keys/issuer-key-disk.ts';
import type { IdentityKeeper } from './identity/identity-keeper.ts';
import type { DataPlane } from './threads/data-plane.ts';
import type { HealthProbe } from './health/health-probe.ts';
import type { HeldIdentity } from './identity/held-identity.ts';
import type { Log } from './telemetry/log.ts';
import type { CertificateStatus } from './tls/certificate-files.ts';
import type { TelemetryConnector } from './telemetry/telemetry-stream.ts';

/** What a sidecar needs from outside: production gives the real ones (bootstrap.ts), tests and the simulator theirs. */
export interface SidecarEnvironment {
  /** Of the program. */
  readonly version: string;
  readonly nodeId: string;
  readonly kinds: RuntimeKinds;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Lets other work of the thread run. */
  readonly pause: () => Promise<void>;
  readonly disk: SnapshotDisk;
  readonly startDataPlane: () => Promise<DataPlane>;
  /** What the disk has of this workload's identity, before ports are open; absent without identity. It asks nobody yet. */
  readonly loadIdentity?: () => Promise<IdentityKeeper>;
  /** Called after the data path serves: loading gRPC takes longer than everything before it. */
  readonly loadConnectors: (identity: IdentityKeeper | null) => Promise<Connectors>;
  /** How this sidecar asks issuers and others that policies name, and where their keys are kept. Absent: it asks nobody. */
  readonly helpers?: { readonly client: HelperClient; readonly keyDisk: IssuerKeyDisk };
  readonly probeApp: AppProbe;
  /** Asks hosts whether they are well, for `healthCheck`; loaded where a snapshot wants it. `identity`: this sidecar's own certificate. */
  readonly loadHealthProbe: (identity: () => HeldIdentity | null, fileText: (path: string) => string | null) => Promise<HealthProbe>;
  readonly processFacts: ProcessFacts;
  /** What to advertise where the inbound side binds all addresses. */
  readonly ownAddress: () => string;
  readonly log: Log;
  /** One JSON object per line on standard output, for the programs that started this one. */
  readonly announce: (event: Readonly<Record<string, unknown>>) => void;
}

export interface Connectors {
  readonly control: ControlConnector;
  readonly telemetry: TelemetryConnector;
  /** This sidecar's own certificate, where it has identity. */
  certificate?(): CertificateStatus;
  /** Ends what was begun for them. */
  close?(): void;
}
