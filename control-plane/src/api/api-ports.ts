import type { Clock, Timers } from '@remora/core/clock';
import type { Model } from '@remora/model/model';
import type { CredentialBook } from '../consumers/credential-book.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import type { ControlPlaneIdentity } from '../identity/control-plane-identity.ts';
import type { Sealer } from '../identity/sealer.ts';
import type { Planner } from '../compile/planner.ts';
import type { BreakerOrderBook } from '../health/breaker-order-book.ts';
import type { HostOrderBook } from '../health/host-order-book.ts';
import type { Operators } from '../operators/operators.ts';
import type { PushHub } from '../push/push-hub.ts';
import type { SecretBook } from '../secrets/secret-book.ts';
import type { SecretItems } from '../secrets/secret-items.ts';
import type { SecretRefresher } from '../secrets/secret-refresher.ts';
import type { Slices } from '../slices.ts';
import type { Store } from '../store/store.ts';
import type { TelemetryHub } from '../telemetry/telemetry-hub.ts';
import type { WritePath } from '../write/write-path.ts';
import type { DiscoveryKeeper } from '../discovery/discovery-keeper.ts';
import type { InstanceRegistry } from '../instances/instance-registry.ts';
import type { CanaryBook } from '../rollout/canary-book.ts';
import type { CanaryRunner } from '../rollout/canary-runner.ts';
import type { EventFeed } from './event-feed.ts';
import type { OpenTaps } from './open-taps.ts';

/** What the API's handlers work with. */
export interface ApiPorts {
  readonly store: Store;
  readonly writePath: WritePath;
  readonly hub: PushHub;
  readonly discovery: Pick<DiscoveryKeeper, 'reports' | 'ages'>;
  readonly model: Model;
  readonly planner: Planner;
  readonly events: EventFeed;
  readonly taps: OpenTaps;
  readonly telemetry: TelemetryHub;
  readonly credentials: CredentialBook;
  readonly secrets: SecretBook;
  readonly secretItems: SecretItems;
  readonly secretRefresher: SecretRefresher;
  readonly hostOrders: HostOrderBook;
  readonly breakerOrders: BreakerOrderBook;
  readonly canaries: CanaryRunner;
  readonly canaryBook: CanaryBook;
  readonly instances: Pick<InstanceRegistry, 'listed'>;
  readonly sealer: Sealer;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly slices: Slices;
  /** null, or missing: every route of it answers that identity is off. */
  readonly identity?: ControlPlaneIdentity | null;
  /** null, or missing: the API asks nobody who they are. */
  readonly operators?: Operators | null;
  /** Product version, as status shows it. */
  readonly version: string;
}
