import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock, Timer, Timers } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import { formatVersion } from '@remora/core/version';
import type { Violation } from '@remora/core/violation';
import { claimedIdentity } from '@remora/identity/node-identity';
import type { NodeIdentity } from '@remora/identity/node-identity';
import { createModel } from '@remora/model/model';
import type { AskedSource } from '@remora/model/discovery-schema';
import type { Model } from '@remora/model/model';
import { checkRegex } from '@remora/router/regex';
import { createEventFeed } from './api/event-feed.ts';
import type { EventFeed } from './api/event-feed.ts';
import { OpenTaps } from './api/open-taps.ts';
import { createAuditLog } from './audit/audit-log.ts';
import type { AuditLog } from './audit/audit-log.ts';
import { WorkLease } from './background/work-lease.ts';
import { createPlanner } from './compile/planner.ts';
import type { Planner } from './compile/planner.ts';
import { ConsumerItems } from './consumers/consumer-items.ts';
import { CredentialBook } from './consumers/credential-book.ts';
import { DiscoveryKeeper } from './discovery/discovery-keeper.ts';
import type { DiscoverySource } from './discovery/discovery-source.ts';
import { CanaryBook } from './rollout/canary-book.ts';
import { CanaryClaims } from './rollout/canary-claims.ts';
import { CanaryRunner } from './rollout/canary-runner.ts';
import { createSealer } from './identity/sealer.ts';
import type { Sealer } from './identity/sealer.ts';
import { BreakerOrderBook } from './health/breaker-order-book.ts';
import { BreakerOrderItems } from './health/breaker-order-items.ts';
import { HostOrderBook } from './health/host-order-book.ts';
import { HostOrderItems } from './health/host-order-items.ts';
import { createInstanceRegistry } from './instances/create-instance-registry.ts';
import type { RunningInstanceRegistry } from './instances/create-instance-registry.ts';
import { InstanceCountItems } from './instances/instance-count-items.ts';
import { authoringKinds, wireKinds } from './kinds.ts';
import type { ProcessLog } from './process-log.ts';
import { createPushHub } from './push/create-push-hub.ts';
import type { RunningPushHub } from './push/create-push-hub.ts';
import type { StateItemSource } from './push/state-items.ts';
import { SecretBook } from './secrets/secret-book.ts';
import { SecretItems } from './secrets/secret-items.ts';
import { SecretRefresher } from './secrets/secret-refresher.ts';
import { createSecretSources } from './secrets/secret-sources.ts';
import type { SecretSources } from './secrets/secret-sources.ts';
import type { Store } from './store/store.ts';
import { createSlices } from './slices.ts';
import type { Slices } from './slices.ts';
import { createTelemetryHub } from './telemetry/create-telemetry-hub.ts';
import type { TelemetryHub } from './telemetry/telemetry-hub.ts';
import { createWritePath } from './write/write-path.ts';
import type { WritePath } from './write/write-path.ts';

/** A control plane without its ports: what the process, `remora run` and tests put together in the same way. */
export interface ControlPlane {
  readonly store: Store;
  readonly model: Model;
  readonly planner: Planner;
  readonly instances: RunningInstanceRegistry;
  /** What DNS, Consul, Kubernetes and files say of instances. */
  readonly discovery: DiscoveryKeeper;
  readonly hub: RunningPushHub;
  readonly telemetry: TelemetryHub;
  readonly events: EventFeed;
  readonly taps: OpenTaps;
  readonly writePath: WritePath;
  /** Who did what: durable before an answer says that it is done. */
  readonly audit: AuditLog;
  /** Credentials of Consumers. */
  readonly credentials: CredentialBook;
  readonly secrets: SecretBook;
  readonly secretItems: SecretItems;
  readonly secretRefresher: SecretRefresher;
  /** Hosts that people took out or back. */
  readonly hostOrders: HostOrderBook;
  readonly breakerOrders: BreakerOrderBook;
  readonly canaries: CanaryRunner;
  readonly canaryBook: CanaryBook;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly slices: Slices;
  /** Loads, compiles and publishes the state of the store. */
  start(): Promise<void>;
  /** Ends writes, streams and background work, in this order; the store is closed last. */
  stop(): Promise<void>;
}

export interface ControlPlaneDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly soon: (run: () => void) => void;
  readonly log: ProcessLog;
  readonly retention: { readonly minAgeMs: number; readonly minEntries: number };
  /** Entries of the audit log are kept for so long; default: for ever. */
  readonly auditAgeMs?: number;
  /** Who may speak for a sidecar; default: whoever says so. */
  readonly nodeIdentity?: NodeIdentity;
  /** Whether sidecars have certificates, so that `strict` mTLS can be asked for; default: they have. */
  readonly hasIdentity?: boolean;
  /** What sidecars get beside snapshots and endpoints: roots of trust, revocations. */
  readonly items?: readonly StateItemSource[];
  /** Keeps secrets in the store; default: as they are, for stores in memory. */
  readonly sealer?: Sealer;
  /** Where Secrets come from that are not given once; default: nowhere. */
  readonly secretSources?: SecretSources;
  readonly secretEveryMs?: number;
  /** Sources of instances that documents can name; default: none. */
  readonly discoverySources?: ReadonlyMap<AskedSource, DiscoverySource>;
}

/** How often history past retention is dropped, and when first: also a process that is restarted often does it. */
const compactEveryMs = 3_600_000;
const compactFirstMs = 60_000;
/** How often Secrets are read again from where they come. */
const secretEveryMs = 60_000;
/** Entries of the audit log that go at once, and how often in an hour. */
const auditTrimMax = 2_000;
const auditTrims = 50;

export function createControlPlane(deps: ControlPlaneDeps): ControlPlane {
  const { store, clock, timers, random, soon, log, nodeIdentity = claimedIdentity, items = [], sealer = createSealer(null) } = deps;
  const alarm = (error: unknown): void => log.error('unexpected failure', { error: errorText(error) });
  const audit = createAuditLog({ store: store.audit, timers, soon, alarm });

  // What documents mean.
  const model = createModel({ kinds: authoringKinds, checkRegex });
  const planner = createPlanner({ kinds: authoringKinds, wireKinds, model });
  // Who is there. The registry comes first: the hub announces what it knows.
  const instances = createInstanceRegistry({ clock, timers, store, onStoreError: alarm });
  const discoverySources = deps.discoverySources ?? new Map<AskedSource, DiscoverySource>();
  const discovery = new DiscoveryKeeper({ clock, timers, store, registry: instances, sources: discoverySources, onStoreError: alarm });
  const telemetry = createTelemetryHub({ clock, timers, identity: nodeIdentity });
  // What is outside revisions, and goes to sidecars that need it.
  const credentials = new CredentialBook({ store, sealer, clock });
  const consumerItems = new ConsumerItems({ book: credentials, alarm });
  const secrets = new SecretBook({ store, sealer, clock });
  const secretItems = new SecretItems({ book: secrets, alarm });
  const secretSources = deps.secretSources ?? createSecretSources({ folder: '', environment: {}, vault: null });
  const secretRefresher = new SecretRefresher({ book: secrets, sources: secretSources, timers, everyMs: deps.secretEveryMs ?? secretEveryMs, alarm });
  const hostOrders = new HostOrderBook({ store, clock, timers });
  const hostOrderItems = new HostOrderItems(hostOrders);
  const breakerOrders = new BreakerOrderBook({ store, clock, timers });
  const breakerOrderItems = new BreakerOrderItems(breakerOrders);
  const instanceCounts = new InstanceCountItems({ registry: instances, clock, timers });
  const hub = createPushHub({
    clock, timers, random, soon, store, registry: instances, identity: nodeIdentity, items: [...items, consumerItems, secretItems, instanceCounts, hostOrderItems, breakerOrderItems], onStoreError: alarm,
    onBehind: (version) => log.warn('a sidecar knows a newer version than this store; was an old copy of the store put in place without `restore`?', { version: formatVersion(version) }),
  });
  instanceCounts.watch(hub);
  const slices = createSlices({ clock, soon });
  const sameMeaning = (a: JsonObject, b: JsonObject): boolean => model.canonicallyEqual(a, b);
  const canaryBook = new CanaryBook(store);
  // The only way in. Publishes to the hub, in the order of the log.
  const writePath = createWritePath({ store, planner, sameMeaning, claims: new CanaryClaims(canaryBook, sameMeaning), hub, instances, clock, slices, alarm, hasIdentity: deps.hasIdentity ?? true, discoverySources: new Set(discoverySources.keys()), callersOf: (service, sinceMs) => telemetry.callers({ service, sinceMs }) });
  const canaries = new CanaryRunner({ book: canaryBook, store, writePath, model, targets: telemetry.targets, clock, timers, alarm });
  // What is told to listeners.
  const events = createEventFeed({ clock, alarm });
  const stops = [
    writePath.onPlanned((planned) => {
      // Whoever comes back under the name of a consumer that is gone is another one.
      credentials.removeConsumersNotIn(planned.state.consumers);
      consumerItems.follow(planned);
      secretItems.follow(planned);
      discovery.follow(planned.state.services);
      instanceCounts.follow(planned);
      hostOrderItems.follow(planned);
      breakerOrderItems.follow(planned);
      canaries.follow(planned.state.canaries);
    }),
    writePath.onCommitted(({ version, author, message, kind, changes }) => events.publish('revision', { version, author, message, kind, detail: `${kind} by ${author}: ${changes.length} documents` })),
    hub.onEvent(({ type, ...facts }) => events.publish(type, facts)),
  ];
  // What one process of a store does, and no second one.
  let compactions: readonly Timer[] = [];
  const background = new WorkLease({ store, timers, lost: (by) => log.error('another process works on this store: background work ends here', { fence: background.fence, by }) });
  background.add({ name: 'discovery', start: () => discovery.start(), stop: () => discovery.stop() });
  background.add(canaries);
  background.add({
    name: 'compaction',
    start() { compactions = [timers.after(compactFirstMs, () => void compact(deps, alarm)), timers.every(compactEveryMs, () => void compact(deps, alarm))]; },
    stop() { for (const timer of compactions) timer.cancel(); },
  });

  return {
    store, model, planner, instances, discovery, hub, telemetry, events, taps: new OpenTaps(), writePath, audit, credentials, secrets, secretItems, secretRefresher, sealer, hostOrders, breakerOrders, canaries, canaryBook, clock, timers, slices,
    async start() {
      await writePath.start();
      const state = writePath.state();
      if (state.kind === 'broken') log.error('the documents in the store cannot be compiled by this build; nothing is pushed until corrected ones are applied', { violations: state.violations.slice(0, 20).map(violationText) });
      if (state.kind === 'ready' && state.planned.contradictions.size > 0) {
        const standing = [...state.planned.contradictions.values()].slice(0, 20).map(({ violation }) => violationText(violation));
        log.warn('stored documents contradict each other, which an older build took: they are enforced as before; correct them, for they are refused once they are written again', { contradictions: state.planned.contradictions.size, first: standing });
      }
      secretRefresher.start();
      background.take();
    },
    async stop() {
      background.close();
      await secretRefresher.close();
      await writePath.stop();
      for (const stop of stops) stop();
      hub.close();
      instanceCounts.close();
      hostOrders.close();
      breakerOrders.close();
      telemetry.close();
      discovery.close();
      for (const source of discoverySources.values()) source.close();
      instances.close();
      audit.close();
      await store.close();
    },
  };
}

async function compact({ store, clock, retention, auditAgeMs, log }: ControlPlaneDeps, alarm: (error: unknown) => void): Promise<void> {
  try {
    const dropped = await store.compact({ ...retention, nowMs: clock.wallMs() });
    if (dropped > 0) log.info('dropped history past retention', { revisions: dropped, oldest: store.retainedFrom() });
    if (auditAgeMs !== undefined) await trimAudit(store, clock.wallMs() - auditAgeMs, log);
  } catch (error) {
    alarm(error);
  }
}

/** A little at a time: other work comes between. */
async function trimAudit({ audit }: Pick<Store, 'audit'>, beforeMs: number, log: ProcessLog): Promise<void> {
  let entries = 0;
  for (let n = 0; n < auditTrims; n++) {
    const trimmed = audit.trim({ beforeMs, limit: auditTrimMax });
    entries += trimmed;
    if (trimmed < auditTrimMax) break;
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  if (entries > 0) log.info('dropped entries of the audit log past retention', { entries, through: audit.anchor().seq });
}

function violationText({ document = '', pointer, message }: Violation): string {
  return `${document}${pointer}: ${message}`;
}

export function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
