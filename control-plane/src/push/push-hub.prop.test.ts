import * as fc from 'fast-check';
import type { SubjectKey } from '@remora/core/subject';
import { NackClass, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import { describe, expect, test } from 'vitest';
import { connectInMemory } from './memory-stream.ts';
import { HubFixture } from './testdata/hub-fixture.ts';
import { compileSample, type SampleSubject } from './testdata/sample-content.ts';
import { TestSidecar } from './testdata/test-sidecar.ts';

const web = { kind: 'service', name: 'web' } as const;
const orders = { kind: 'service', name: 'orders' } as const;
const large = Array.from({ length: 1_200 }, (_, i) => `large-${i}`);

/** Contents of `web`; the one called `bad` is refused by build-1. */
const contents: Readonly<Record<string, SampleSubject>> = {
  a: { resources: ['a'], destinations: ['orders'] },
  b: { resources: ['a', 'b'], destinations: ['orders'] },
  alone: { resources: ['c'] },
  large: { resources: large, destinations: ['orders'] },
  bad: { resources: ['bad'], destinations: ['orders'] },
};
const hashOf = (name: string): string => compileSample(web, contents[name] ?? { resources: [] }).hash;

type Action =
  | { readonly kind: 'publish'; readonly content: string }
  | { readonly kind: 'connect' | 'disconnect' | 'pause' | 'resume' | 'silent' | 'lose-disk' | 'instance' | 'instance-gone'; readonly at: number }
  | { readonly kind: 'nack'; readonly at: number; readonly nack: NackClass }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'restart' | 'crash' };

const index = fc.nat({ max: 3 });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Object.keys(contents)).map((content): Action => ({ kind: 'publish', content })) },
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom('connect', 'disconnect', 'pause', 'resume', 'silent', 'lose-disk', 'instance', 'instance-gone'), index).map(([kind, at]): Action => ({ kind, at })) },
  { weight: 2, arbitrary: fc.tuple(index, fc.constantFrom(NackClass.NACK_CLASS_RESYNC, NackClass.NACK_CLASS_TRANSIENT)).map(([at, nack]): Action => ({ kind: 'nack', at, nack })) },
  { weight: 2, arbitrary: fc.constantFrom(50, 1_000, 20_000).map((ms): Action => ({ kind: 'time', ms })) },
  { weight: 1, arbitrary: fc.constantFrom('restart', 'crash').map((kind): Action => ({ kind })) },
);

class World {
  readonly fixture = new HubFixture({ limits: { highWaterBytes: 4_096 } });
  readonly sidecars = Array.from({ length: 4 }, (_, i) => new TestSidecar({ nodeId: `web-${i}`, subject: web, build: i < 2 ? 'build-1' : 'build-2' }));
  readonly instances = Array.from({ length: 4 }, (_, i) => new TestSidecar({ nodeId: `orders-${i}`, subject: orders }));
  readonly connected = new Set<TestSidecar>();
  content = 'a';

  constructor() {
    for (const sidecar of this.sidecars) this.makeHonest(sidecar);
    this.publish('a');
  }

  publish(content: string): void {
    this.content = content;
    this.fixture.publish({ 'service/web': contents[content] ?? { resources: [] }, 'service/orders': { resources: ['o'] } } satisfies Record<SubjectKey, SampleSubject>);
  }

  run(step: Action): void {
    switch (step.kind) {
      case 'publish': return this.publish(step.content);
      case 'time': return this.fixture.live(step.ms, ...this.connected);
      case 'restart':
      case 'crash':
        this.fixture[step.kind]();
        this.connected.clear();
        return this.publish(this.content);
      case 'instance': return this.connect(this.pick(this.instances, step.at));
      case 'instance-gone': return this.disconnect(this.pick(this.instances, step.at));
      case 'connect': return this.connect(this.pick(this.sidecars, step.at));
      case 'disconnect': return this.disconnect(this.pick(this.sidecars, step.at));
      case 'lose-disk': return this.loseDisk(this.pick(this.sidecars, step.at));
      case 'silent':
        this.pick(this.sidecars, step.at).answer = () => 'silent';
        return;
      case 'nack':
        this.pick(this.sidecars, step.at).answer = () => ({ nack: step.nack });
        return;
      case 'pause':
      case 'resume':
        if (this.connected.has(this.pick(this.sidecars, step.at))) this.fixture.link(this.pick(this.sidecars, step.at))[step.kind]();
    }
  }

  /** Everything works again: all connect, read, and answer honestly. */
  heal(): void {
    for (const sidecar of this.sidecars) {
      this.disconnect(sidecar);
      this.makeHonest(sidecar);
    }
    for (const sidecar of [...this.sidecars, ...this.instances]) this.connect(sidecar);
    this.fixture.live(60_000, ...this.connected);
  }

  private makeHonest(sidecar: TestSidecar): void {
    const refuses = sidecar.build === 'build-1';
    sidecar.answer = (_, hash) => (refuses && hash === hashOf('bad') ? { nack: NackClass.NACK_CLASS_INVALID } : 'ack');
  }

  private connect(sidecar: TestSidecar): void {
    if (this.connected.has(sidecar)) return;
    sidecar.incarnation++;
    this.connected.add(sidecar);
    this.fixture.connect(sidecar);
  }

  private disconnect(sidecar: TestSidecar): void {
    if (this.connected.delete(sidecar)) this.fixture.disconnect(sidecar);
  }

  private loseDisk(sidecar: TestSidecar): void {
    this.disconnect(sidecar);
    sidecar.config = null;
    sidecar.state = null;
    sidecar.resources.clear();
    sidecar.endpoints.clear();
  }

  private pick(from: readonly TestSidecar[], at: number): TestSidecar {
    return from[at % from.length] ?? this.sidecars[0] ?? new TestSidecar({ nodeId: 'none', subject: web });
  }
}

describe('whatever happens', () => {
  test('the protocol holds, and after healing everybody enforces the newest that its build accepts', () => {
    fc.assert(fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const world = new World();
      for (const step of actions) world.run(step);
      world.heal();
      for (const sidecar of world.sidecars) {
        const status = world.fixture.hub.sidecar(sidecar.nodeId);
        expect(sidecar.violations).toEqual([]);
        expect(status?.config.appliedHash).toBe(sidecar.config?.hash ?? '');
        if (world.content === 'bad' && sidecar.build === 'build-1') {
          expect(status?.phase).toBe('refused');
          expect(sidecar.config?.hash).not.toBe(hashOf('bad'));
          continue;
        }
        expect(status).toMatchObject({ phase: 'in-sync', lastRefusal: null });
        expect(sidecar.enforced()).toEqual([...(contents[world.content]?.resources ?? [])].sort());
        expect([...sidecar.endpoints.keys()]).toEqual(contents[world.content]?.destinations ?? []);
        for (const ids of sidecar.endpoints.values()) expect(ids).toEqual(['orders-0', 'orders-1', 'orders-2', 'orders-3']);
      }
    }), { numRuns: 150 });
  }, 60_000);
});

describe('hostile streams', () => {
  const text = fc.string({ maxLength: 300 });
  const bytes = fc.uint8Array({ maxLength: 40 }).map((all) => Buffer.from(all));
  const number = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 41n, 100n));
  const version = fc.option(fc.record({ epoch: number, index: number }), { nil: undefined });
  const lane = fc.constantFrom(0, 1, 2, -1);
  const nackClasses = Object.values(NackClass);
  const body: fc.Arbitrary<SidecarMessage['body']> = fc.oneof(
    fc.record({ lane, version, hash: bytes, persisted: fc.boolean(), warming: fc.array(text) }).map((value) => ({ $case: 'ack' as const, value })),
    fc.record({ lane, version, hash: bytes, nackClass: fc.constantFrom(...nackClasses) }).map((value) => ({ $case: 'nack' as const, value: { ...value, errors: [] } })),
    fc.record({ version, hashes: fc.array(bytes) }).map((value) => ({ $case: 'needHashes' as const, value })),
    fc.record({ deadlineMs: number }).map((value) => ({ $case: 'leaving' as const, value })),
    fc.record({
      config: fc.option(fc.record({ version, hash: bytes, persisted: fc.boolean() }), { nil: undefined }), state: fc.constant(undefined), clockMs: number, rssBytes: number,
      cpuShare: fc.double(), appReady: fc.boolean(), appProblem: text, staleSinceMs: number, stallMs: fc.double(), keyAgeSeconds: fc.constant({}), warming: fc.array(text),
    }).map((value) => ({ $case: 'heartbeat' as const, value })),
    fc.constant(undefined),
  );

  test('neither throw nor disturb others', () => {
    fc.assert(fc.property(fc.array(body, { maxLength: 20 }), (bodies) => {
      const fixture = new HubFixture();
      fixture.publish({ 'service/web': { resources: ['a'] } });
      const honest = fixture.connect({ nodeId: 'web-1', subject: web });
      const hostile = new TestSidecar({ nodeId: 'web-2', subject: web });
      const link = connectInMemory({ accept: (stream) => fixture.hub.acceptSync(stream), client: { message: () => {}, ended: () => {} }, soon: fixture.time.soon });
      hostile.open((message) => link.send(message));
      for (const each of bodies) link.send(SidecarMessage.decode(SidecarMessage.encode({ body: each }).finish()));
      fixture.time.settle();
      fixture.publish({ 'service/web': { resources: ['b'] } });
      fixture.live(5_000, honest);
      expect(honest.enforced()).toEqual(['b']);
      expect(JSON.stringify(fixture.hub.sidecars())).toContain('web-1');
    }), { numRuns: 100 });
  }, 30_000);
});
