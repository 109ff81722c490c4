import { seededRandom } from '@remora/core/random';
import type { SubjectKey } from '@remora/core/subject';
import { claimedIdentity, type NodeIdentity } from '@remora/identity/node-identity';
import { createInstanceRegistry, type RunningInstanceRegistry } from '../../instances/create-instance-registry.ts';
import { createMemoryStore } from '../../store/memory-store.ts';
import type { Grant, Store } from '../../store/store.ts';
import { createPushHub, type RunningPushHub } from '../create-push-hub.ts';
import { connectInMemory, type MemoryClient } from '../memory-stream.ts';
import type { PushEvent } from '../push-hub.ts';
import type { PushLimits } from '../push-limits.ts';
import type { StateItemSource } from '../state-items.ts';
import { ManualTime } from './manual-time.ts';
import { compileSamples, type SampleSubject } from './sample-content.ts';
import { TestSidecar, type TestSidecarOptions } from './test-sidecar.ts';

/** A hub with a registry, a store, time that stands still, and sidecars that speak the protocol. */
export class HubFixture {
  readonly time: ManualTime;
  readonly store: Store;
  readonly events: PushEvent[] = [];
  readonly behind: unknown[] = [];
  registry: RunningInstanceRegistry;
  hub: RunningPushHub;
  index = 40;
  readonly #limits: Partial<PushLimits>;
  readonly #identity: NodeIdentity;
  readonly #items: readonly StateItemSource[];
  readonly #links = new Map<TestSidecar, MemoryClient>();

  constructor(options: { readonly limits?: Partial<PushLimits>; readonly identity?: NodeIdentity; readonly time?: ManualTime; readonly store?: Store; readonly items?: readonly StateItemSource[] } = {}) {
    this.time = options.time ?? new ManualTime();
    this.store = options.store ?? createMemoryStore({ clock: this.time, epoch: 100 });
    this.#limits = options.limits ?? {};
    this.#identity = options.identity ?? claimedIdentity;
    this.#items = options.items ?? [];
    this.registry = this.#createRegistry();
    this.hub = this.#createHub();
  }

  /** Publishes the next log entry. */
  publish(samples: Readonly<Record<SubjectKey, SampleSubject>>, grants: readonly Grant[] = []): number {
    this.index++;
    const compilation = compileSamples(samples);
    const blobs = new Map<string, Uint8Array>();
    for (const subject of compilation.subjects.values()) {
      blobs.set(subject.hash, subject.manifest);
      for (const [hash, bytes] of subject.resources) blobs.set(hash, bytes);
    }
    this.store.putBlobs(blobs);
    this.hub.publish({ version: { epoch: 100, index: this.index }, compilation, changed: new Set(), grants, committedAtMs: this.time.wallMs() });
    this.time.settle();
    return this.index;
  }

  connect(options: TestSidecarOptions | TestSidecar): TestSidecar {
    const sidecar = options instanceof TestSidecar ? options : new TestSidecar(options);
    const link = connectInMemory({
      accept: (stream) => this.hub.acceptSync(stream),
      client: { message: (message) => sidecar.receive(message), ended: (error) => void (sidecar.ended = error) },
      soon: this.time.soon,
    });
    this.#links.set(sidecar, link);
    sidecar.open((message) => link.send(message));
    this.time.settle();
    return sidecar;
  }

  link(sidecar: TestSidecar): MemoryClient {
    const link = this.#links.get(sidecar);
    if (!link) throw new Error('not connected');
    return link;
  }

  disconnect(sidecar: TestSidecar): void {
    this.link(sidecar).break();
    this.time.settle();
  }

  /** Time passes while these sidecars send their heartbeats. */
  live(ms: number, ...sidecars: readonly TestSidecar[]): void {
    for (let passed = 0; passed < ms; passed += 1_000) {
      for (const sidecar of sidecars) sidecar.heartbeat();
      this.time.advance(Math.min(1_000, ms - passed));
    }
  }

  /** The process ends and starts again over the same store; the next publish is its first. */
  restart(): void {
    this.hub.close();
    this.registry.close();
    this.time.settle();
    this.registry = this.#createRegistry();
    this.hub = this.#createHub();
  }

  /** As by kill -9: nothing that waits is written. */
  crash(): void {
    for (const link of this.#links.values()) link.break();
    this.registry = this.#createRegistry();
    this.hub = this.#createHub();
    this.time.settle();
  }

  #createRegistry(): RunningInstanceRegistry {
    return createInstanceRegistry({ clock: this.time, timers: this.time, store: this.store });
  }

  #createHub(): RunningPushHub {
    const hub = createPushHub({
      clock: this.time, timers: this.time, random: seededRandom(1), soon: this.time.soon, store: this.store, registry: this.registry, identity: this.#identity,
      items: this.#items, limits: this.#limits, onBehind: (version) => this.behind.push(version),
    });
    hub.onEvent((event) => this.events.push(event));
    return hub;
  }
}
