import type { Clock, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { SubjectKey } from '@remora/core/subject';
import type { Version } from '@remora/core/version';
import type { NodeIdentity } from '@remora/identity/node-identity';
import type { InstanceRegistry } from '../instances/instance-registry.ts';
import type { ContentHistory } from './desired-content.ts';
import { Hub } from './hub.ts';
import type { PushHub } from './push-hub.ts';
import type { PushLimits } from './push-limits.ts';
import type { PushMetrics } from './push-metrics.ts';
import type { RecordStore } from './record-writer.ts';
import type { StateItemSource } from './state-items.ts';
import type { QueryStream, QueryStreamHandler, SidecarStream, SidecarStreamHandler } from './sidecar-stream.ts';

/** Makes the hub. It runs from now on: sidecars may connect, but nothing is pushed before the first `publish`. */
export function createPushHub(deps: PushHubDeps): RunningPushHub {
  return new Hub(deps);
}

export interface PushHubDeps {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  /** Runs something in a later turn of the event loop: `setImmediate`, or the simulator's. */
  readonly soon: (run: () => void) => void;
  readonly store: RecordStore & ContentHistory;
  readonly registry: InstanceRegistry;
  readonly identity: NodeIdentity;
  /** What sidecars must know beside snapshots and endpoints; one source for each kind. */
  readonly items?: readonly StateItemSource[];
  readonly limits?: Partial<PushLimits>;
  /** A sidecar knows a higher version than this control plane: read the store again. */
  readonly onBehind?: (version: Version) => void;
  /** Records that could not be written; they are tried again. */
  readonly onStoreError?: (error: unknown) => void;
}

/** The hub with the ends that transports and the Prometheus page use. */
export interface RunningPushHub extends PushHub {
  readonly metrics: PushMetrics;
  /** Looks again at who the peers of these nodes are, now: something was revoked. Those that are not believed any more are turned away. */
  recheck(concerns: (nodeId: string, subject: SubjectKey) => boolean): void;
  acceptSync(stream: SidecarStream): SidecarStreamHandler;
  acceptQueries(stream: QueryStream): QueryStreamHandler;
  /** Ends all streams, wakes all who wait, writes what is pending. */
  close(): void;
}
