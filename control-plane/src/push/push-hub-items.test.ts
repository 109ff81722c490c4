import * as fc from 'fast-check';
import type { SubjectKey } from '@remora/core/subject';
import { NackClass } from '@remora/proto/gen/remora/push/v1/push';
import { describe, expect, test } from 'vitest';
import { HubFixture } from './testdata/hub-fixture.ts';
import { MemoryItems } from './testdata/memory-items.ts';
import { TestSidecar } from './testdata/test-sidecar.ts';

const web = { kind: 'service', name: 'web' } as const;
const orders = { kind: 'service', name: 'orders' } as const;
const mesh = { 'service/web': { resources: ['w'], destinations: ['orders'] }, 'service/orders': { resources: ['o'] } } as const;

function started(limits: { stateMessageBytes?: number } = {}) {
  const secrets = new MemoryItems('secret');
  const bundles = new MemoryItems('trustBundle');
  const fixture = new HubFixture({ items: [secrets, bundles], limits });
  fixture.publish(mesh);
  return { fixture, secrets, bundles };
}

function itemsOf(sidecar: TestSidecar): [string, string][] {
  return [...sidecar.items].sort(([a], [b]) => (a < b ? -1 : 1));
}

describe('items', () => {
  test('go to the sidecars of the subject that they are for, and to nobody else', () => {
    const { fixture, secrets } = started();
    secrets.put('service/web', 'key', 'of web');
    secrets.put('service/orders', 'key', 'of orders');
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    const callee = fixture.connect({ nodeId: 'orders-1', subject: orders });
    fixture.time.advance(200);
    expect(itemsOf(caller)).toEqual([['secret/key', 'of web']]);
    expect(itemsOf(callee)).toEqual([['secret/key', 'of orders']]);
    const messages = callee.log.length;
    secrets.put('service/web', 'other', 'x');
    fixture.time.settle();
    expect(itemsOf(caller)).toEqual([['secret/key', 'of web'], ['secret/other', 'x']]);
    expect(callee.log).toHaveLength(messages);
  });

  test('are of the subject that the identity believes: a claim to another one gets no stream, and nothing', () => {
    const secrets = new MemoryItems('secret');
    const fixture = new HubFixture({ items: [secrets], identity: { name: 'mtls', authenticated: true, verify: (_, { nodeId, subject }) => (nodeId.startsWith(subject.name) ? { ok: true } : { ok: false, reason: 'other-subject' }) } });
    const all = ['a', 'b', 'c'] as const;
    fixture.publish(Object.fromEntries(all.map((name): [SubjectKey, { resources: string[] }] => [`service/${name}`, { resources: [name] }])));
    for (const name of all) secrets.put(`service/${name}`, 'key', `planted-${name}`);
    for (const is of all) {
      for (const claims of all) {
        const sidecar = fixture.connect({ nodeId: `${is}-${claims}`, subject: { kind: 'service', name: claims } });
        fixture.time.advance(200);
        expect([...sidecar.items.values()], `${is} claims ${claims}`).toEqual(is === claims ? [`planted-${is}`] : []);
        expect(sidecar.states.flatMap(({ items }) => items.map(({ body }) => body.toString()))).toEqual(is === claims ? [`planted-${is}`] : []);
      }
    }
  });

  test('come before the configuration that may name them', () => {
    const { fixture, secrets } = started();
    secrets.put('service/web', 'key', '1');
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    expect(caller.log.indexOf('state-full')).toBeLessThan(caller.log.indexOf('begin'));
    expect(caller.log.indexOf('state-full')).toBeGreaterThanOrEqual(0);
  });

  test('only what changed is sent; what is gone is named', () => {
    const { fixture, secrets } = started();
    for (const name of ['a', 'b', 'c']) secrets.put('service/web', name, name);
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    caller.states.length = 0;
    secrets.put('service/web', 'b', 'new');
    secrets.put('service/web', 'c', null);
    fixture.time.settle();
    expect(caller.states).toHaveLength(1);
    expect(caller.states[0]).toMatchObject({ full: false, fullItems: false, items: [{ kind: 'secret', name: 'b' }], removedItems: ['secret/c'], holdItems: [] });
    expect(itemsOf(caller)).toEqual([['secret/a', 'a'], ['secret/b', 'new']]);
  });

  test('that are too large for one message come in several', () => {
    const { fixture, secrets } = started({ stateMessageBytes: 1_000 });
    for (let i = 0; i < 10; i++) secrets.put('service/web', `k${i}`, `${i}`.repeat(400));
    secrets.put('service/web', 'large', 'x'.repeat(5_000));
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    fixture.time.advance(100);
    expect(itemsOf(caller)).toEqual(secrets.expected('service/web'));
    expect(caller.states.length).toBeGreaterThan(4);
    expect(caller.states.filter(({ fullItems }) => fullItems)).toHaveLength(1);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync' });
  });

  test('of a kind of which nothing is known are held; later they are what the source says', () => {
    const { fixture, secrets, bundles } = started();
    secrets.put('service/web', 'gone', '1');
    bundles.put('service/web', 'shop.example', 'roots');
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    fixture.crash();
    secrets.know(false);
    secrets.put('service/web', 'gone', null);
    secrets.put('service/web', 'kept', '2');
    fixture.publish(mesh);
    caller.incarnation++;
    fixture.connect(caller);
    fixture.live(1_000, caller);
    expect(itemsOf(caller)).toEqual([['secret/gone', '1'], ['trustBundle/shop.example', 'roots']]);
    secrets.know(true);
    fixture.time.settle();
    expect(itemsOf(caller)).toEqual([['secret/kept', '2'], ['trustBundle/shop.example', 'roots']]);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync' });
  });

  test('cost nothing where there are none: the hash of the state is that of a hub without sources', () => {
    const { fixture } = started();
    const plain = new HubFixture();
    plain.publish(mesh);
    for (const each of [fixture, plain]) each.connect({ nodeId: 'web-1', subject: web });
    expect(fixture.hub.sidecar('web-1')?.state.desiredHash).toBe(plain.hub.sidecar('web-1')?.state.desiredHash);
  });

  test('what a sidecar would not take is left out, and counted', () => {
    const { fixture, secrets } = started();
    secrets.put('service/web', 'a/b', '1');
    secrets.put('service/web', '', '1');
    secrets.put('service/web', 'huge', 'x'.repeat(256 * 1024 + 1));
    secrets.put('service/web', 'fine', '1');
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    expect(itemsOf(caller)).toEqual([['secret/fine', '1']]);
    expect(fixture.hub.metrics.itemsLeftOutTotal).toBe(3);
  });

  test('that are refused do not hold a configuration up', () => {
    const { fixture, secrets } = started();
    const caller = new TestSidecar({ nodeId: 'web-1', subject: web });
    caller.answer = (lane) => (lane === 'state' ? { nack: NackClass.NACK_CLASS_INVALID } : 'ack');
    secrets.put('service/web', 'bad', '1');
    fixture.publish({ ...mesh, 'service/web': { resources: ['w'] } });
    fixture.connect(caller);
    expect(caller.enforced()).toEqual(['w']);
  });

  test.each([
    ['are sent after it', 0],
    ['are on their way already', 1_000],
  ])('an entry that changed items is enforced when they are there, where they %s', (_, beforeMs) => {
    const { fixture, secrets } = started();
    const caller = fixture.connect({ nodeId: 'web-1', subject: web });
    caller.answer = (lane) => (lane === 'state' ? 'silent' : 'ack');
    secrets.put('service/web', 'key', '1');
    fixture.time.advance(beforeMs);
    const index = fixture.publish(mesh);
    expect(fixture.hub.enforcement(index)?.counts).toMatchObject({ total: 1, applied: 0 });
    const state = caller.states.at(-1);
    caller.state = { version: state?.version ?? { epoch: 0n, index: 0n }, hash: state?.hash.toString('hex') ?? '' };
    caller.send({ $case: 'ack', value: { lane: 2, version: state?.version, hash: state?.hash ?? Buffer.alloc(0), persisted: true, warming: [] } });
    fixture.time.settle();
    expect(fixture.hub.enforcement(index)?.counts).toMatchObject({ total: 1, applied: 1 });
  });
});

type Step =
  | { readonly kind: 'put'; readonly source: number; readonly subject: number; readonly name: string; readonly text: string | null }
  | { readonly kind: 'connect' | 'disconnect' | 'lose-disk' | 'know' | 'ignorant'; readonly at: number }
  | { readonly kind: 'nack'; readonly at: number; readonly nack: NackClass }
  | { readonly kind: 'restart' | 'crash' | 'publish' }
  | { readonly kind: 'time'; readonly ms: number };

const at = fc.nat({ max: 2 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('put' as const), source: fc.nat({ max: 1 }), subject: fc.nat({ max: 1 }), name: fc.constantFrom('a', 'b', 'c d', 'e\n'), text: fc.option(fc.constantFrom('1', '2', 'x'.repeat(300)), { nil: null }) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('connect' as const, 'disconnect' as const, 'lose-disk' as const, 'know' as const, 'ignorant' as const), at }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('nack' as const), at, nack: fc.constantFrom(NackClass.NACK_CLASS_RESYNC, NackClass.NACK_CLASS_TRANSIENT) }) },
  { weight: 1, arbitrary: fc.constantFrom('restart' as const, 'crash' as const, 'publish' as const).map((kind) => ({ kind })) },
  { weight: 2, arbitrary: fc.constantFrom(50, 1_000, 20_000).map((ms) => ({ kind: 'time' as const, ms })) },
);

describe('whatever happens', () => {
  test('every sidecar ends with exactly what the sources say of its subject', () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { fixture, secrets, bundles } = started({ stateMessageBytes: 500 });
      const sources = [secrets, bundles];
      const subjects = ['service/web', 'service/orders'] as const;
      const sidecars = [new TestSidecar({ nodeId: 'web-0', subject: web }), new TestSidecar({ nodeId: 'web-1', subject: web }), new TestSidecar({ nodeId: 'orders-0', subject: orders })];
      const connected = new Set<TestSidecar>();
      const pick = (index: number): TestSidecar => sidecars[index] ?? new TestSidecar({ nodeId: 'none', subject: web });
      const source = (index: number): MemoryItems => sources[index % 2] ?? secrets;
      const connect = (sidecar: TestSidecar): void => {
        if (connected.has(sidecar)) return;
        sidecar.incarnation++;
        connected.add(sidecar);
        fixture.connect(sidecar);
      };
      const disconnect = (sidecar: TestSidecar): void => {
        if (connected.delete(sidecar)) fixture.disconnect(sidecar);
      };
      const run = (each: Step): void => {
        switch (each.kind) {
          case 'put': return source(each.source).put(subjects[each.subject] ?? 'service/web', each.name, each.text);
          case 'connect': return connect(pick(each.at));
          case 'disconnect': return disconnect(pick(each.at));
          case 'know': return source(each.at).know(true);
          case 'ignorant': return source(each.at).know(false);
          case 'nack':
            pick(each.at).answer = () => ({ nack: each.nack });
            return;
          case 'time': return fixture.live(each.ms, ...connected);
          case 'publish': return void fixture.publish(mesh);
          case 'lose-disk': {
            const sidecar = pick(each.at);
            disconnect(sidecar);
            sidecar.state = null;
            sidecar.items.clear();
            sidecar.endpoints.clear();
            return;
          }
          case 'restart':
          case 'crash':
            fixture[each.kind]();
            connected.clear();
            fixture.publish(mesh);
        }
      };
      for (const each of steps) run(each);
      for (const sidecar of sidecars) {
        disconnect(sidecar);
        sidecar.answer = () => 'ack';
      }
      for (const each of sources) each.know(true);
      for (const sidecar of sidecars) connect(sidecar);
      fixture.live(60_000, ...connected);
      for (const sidecar of sidecars) {
        const subject: SubjectKey = `service/${sidecar.subject.name}`;
        expect(sidecar.violations).toEqual([]);
        expect(itemsOf(sidecar)).toEqual([...secrets.expected(subject), ...bundles.expected(subject)]);
        expect(fixture.hub.sidecar(sidecar.nodeId)).toMatchObject({ phase: 'in-sync' });
      }
    }), { numRuns: 200 });
  }, 60_000);
});

describe('who is not believed any more', () => {
  test('is turned away at once, with a code that says why; others stay', () => {
    const revoked = new Set<string>();
    const fixture = new HubFixture({ identity: { name: 'mtls', authenticated: true, verify: (_, { nodeId }) => (revoked.has(nodeId) ? { ok: false, reason: 'it was revoked', code: 'certificate-revoked' } : { ok: true }) } });
    fixture.publish(mesh);
    const [one, other] = [fixture.connect({ nodeId: 'web-1', subject: web }), fixture.connect({ nodeId: 'web-2', subject: web })];
    revoked.add('web-1');
    fixture.hub.recheck((nodeId, subject) => subject === 'service/web' && nodeId === 'web-1');
    fixture.time.settle();
    expect(one.log.at(-1)).toBe('rejected certificate-revoked');
    expect(one.ended).not.toBeUndefined();
    expect(other.ended).toBeUndefined();
    one.incarnation++;
    fixture.connect(one);
    expect(one.log.at(-1)).toBe('rejected certificate-revoked');
    expect(fixture.hub.metrics.rejectionsTotal.get('certificate-revoked')).toBe(2);
  });
});
