import type { JsonObject } from '@remora/core/canonical-json';
import { seededRandom } from '@remora/core/random';
import { loadDocuments } from '@remora/model/load-documents';
import { ManualClock } from '@remora/testing/manual-clock';
import { ManualTimers } from '@remora/testing/manual-timers';
import { createControlPlane } from '../../app.ts';
import type { ControlPlane } from '../../app.ts';
import { createProcessLog } from '../../process-log.ts';
import { createMemoryStore } from '../../store/memory-store.ts';
import type { LogEntry, Store } from '../../store/store.ts';
import { createTrafficCounts } from '../../telemetry/traffic-counts.ts';
import type { WriteOutcome, WriteRequest } from '../../write/write-path.ts';
import type { CanaryRun } from '../canary-run.ts';

/** Documents of one service, without a canary. */
export const ordersYaml = 'kind: Service\nname: orders\nports: {http: {port: 8080, protocol: http}}\n';

export function canaryYaml(more = ''): string {
  return `kind: Canary
name: orders-v2
service: orders
stable: {labels: {version: v1}}
candidate: {labels: {version: v2}}
steps: [{weight: 5, for: 10s}, {weight: 25, for: 20s}, {weight: 100}]
gates: {errorRate: {maxIncrease: 1%}, minRequests: 100}
${more}`;
}

/** A store over which control planes come and go, with time that a test moves and reports that a test makes. */
export class CanaryWorld {
  readonly clock = new ManualClock();
  readonly timers = new ManualTimers(this.clock);
  readonly store: Store;
  readonly alarms: string[] = [];
  /** Throws where the process is to end: before and after each append and each flush of records. */
  crash: (() => void) | null = null;
  controlPlane: ControlPlane;

  private constructor() {
    this.store = createMemoryStore({ clock: this.clock });
    this.controlPlane = this.#create();
  }

  static async start(yaml = ordersYaml): Promise<CanaryWorld> {
    const world = new CanaryWorld();
    await world.controlPlane.start();
    await world.apply(yaml);
    return world;
  }

  /** The process is gone, and another one goes on with the store: figures of sidecars begin anew. */
  async restart(): Promise<void> {
    this.controlPlane.canaries.stop();
    this.controlPlane = this.#create();
    await this.controlPlane.start();
    await this.controlPlane.canaries.look();
  }

  async apply(yaml: string, more: Partial<WriteRequest> = {}): Promise<WriteOutcome> {
    const { documents, violations } = this.controlPlane.model.validateDocuments(loadDocuments([{ name: 'test', bytes: yaml }]).documents);
    if (violations.length > 0) throw new Error(JSON.stringify(violations));
    const outcome = await this.controlPlane.writePath.write({ intent: { kind: 'apply', documents }, author: 'ana', message: '', ...more });
    await this.controlPlane.canaries.look();
    return outcome;
  }

  async delete(...keys: readonly `${string}/${string}`[]): Promise<void> {
    await this.controlPlane.writePath.write({ intent: { kind: 'delete', keys }, author: 'ana', message: '' });
    await this.controlPlane.canaries.look();
  }

  /** Time passes a second at a time, and the runner looks each time. */
  async pass(seconds: number, report: () => void = () => {}): Promise<void> {
    for (let n = 0; n < seconds; n++) {
      this.clock.advance(1_000);
      report();
      await this.controlPlane.canaries.look();
    }
  }

  /** A caller reports so many requests of a side, so many of them failed, each of so many ms. */
  report(version: string, requests: number, failed = 0, bucket = 40): void {
    const name = { destination: 'orders', target: `version=${version}` };
    const counts = createTrafficCounts();
    counts.requests = requests;
    counts.classes.set([0, 0, requests - failed, 0, 0, failed]);
    counts.latency[bucket] = requests;
    this.controlPlane.telemetry.targets.seen(name, this.clock.monotonicMs());
    this.controlPlane.telemetry.targets.add(name, counts);
  }

  /** Both sides are well. */
  healthy(): void {
    this.report('v1', 200);
    this.report('v2', 50);
  }

  run(name = 'orders-v2'): CanaryRun | null {
    return this.controlPlane.canaryBook.get(name);
  }

  /** `v1=95 v2=5`, `any`, or `gone`. */
  weights(route = 'orders-v2'): string {
    const document = this.store.documents().get(`Route/${route}`)?.document;
    if (document === undefined) return 'gone';
    const to = (document['to'] ?? []) as readonly { readonly labels?: Readonly<Record<string, string>>; readonly weight?: number }[];
    return to.length === 0 ? 'any' : to.map(({ labels, weight }) => `${labels?.['version'] ?? 'any'}=${weight ?? 1}`).join(' ');
  }

  /** Oldest first. */
  history(): readonly LogEntry[] {
    return this.store.entries({ limit: 1_000 }).toReversed();
  }

  /** Messages of the canary's revisions. */
  steps(name = 'orders-v2'): readonly string[] {
    return this.history().filter(({ author }) => author === `canary/${name}`).map(({ message }) => message);
  }

  #create(): ControlPlane {
    const crash = (): void => this.crash?.();
    const kept = this.store;
    // What is not flushed is lost with the process.
    const pending = new Map<string, Map<string, JsonObject | null>>();
    const store: Store = Object.assign(Object.create(kept) as Store, bound(kept), {
      append: async (input: Parameters<Store['append']>[0]) => {
        crash();
        const result = await kept.append(input);
        crash();
        return result;
      },
      putRecords: (namespace: string, records: ReadonlyMap<string, JsonObject | null>) => {
        pending.set(namespace, new Map([...(pending.get(namespace) ?? []), ...records]));
      },
      records: (namespace: string) => {
        const found = new Map(kept.records(namespace));
        for (const [key, value] of pending.get(namespace) ?? []) {
          if (value === null) found.delete(key);
          else found.set(key, value);
        }
        return found;
      },
      flushRecords: () => {
        crash();
        for (const [namespace, records] of pending) kept.putRecords(namespace, records);
        pending.clear();
        crash();
      },
    });
    return createControlPlane({
      store, clock: this.clock, timers: this.timers, random: seededRandom(1), soon: setImmediate,
      log: createProcessLog({ level: 'error', clock: this.clock, write: (line) => this.alarms.push(JSON.stringify(line)) }), retention: { minAgeMs: 1, minEntries: 10_000 },
    });
  }
}

/** The methods of a store, for objects that stand before it. */
function bound(store: Store): Partial<Store> {
  const methods: Record<string, unknown> = { audit: store.audit };
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(store))) {
    const value: unknown = Reflect.get(store, name);
    if (typeof value === 'function' && name !== 'constructor') methods[name] = value.bind(store);
  }
  return methods;
}
