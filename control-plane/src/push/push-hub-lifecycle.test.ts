import { NackClass } from '@remora/proto/gen/remora/push/v1/push';
import type { NodeIdentity } from '@remora/identity/node-identity';
import { describe, expect, test } from 'vitest';
import { HubFixture } from './testdata/hub-fixture.ts';
import { TestSidecar } from './testdata/test-sidecar.ts';

const web = { kind: 'service', name: 'web' } as const;

function started(options: ConstructorParameters<typeof HubFixture>[0] = {}) {
  const fixture = new HubFixture(options);
  fixture.publish({ 'service/web': { resources: ['a'] } });
  const sidecar = fixture.connect({ nodeId: 'web-1', subject: web });
  return { fixture, sidecar, hub: fixture.hub };
}

describe('a restart of the control plane', () => {
  test('pushes nothing before its first publish, then one small message to whoever is in sync', () => {
    const { fixture, sidecar } = started();
    fixture.restart();
    sidecar.log.length = 0;
    fixture.connect(sidecar);
    fixture.live(3_000, sidecar);
    expect(sidecar.log).toEqual([]);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ connected: true, phase: 'pending' });
    const before = fixture.hub.metrics.bytesSentTotal;
    fixture.publish({ 'service/web': { resources: ['a'] } });
    expect(sidecar.log).toEqual(['unchanged-state', 'unchanged-config']);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', config: { applied: { index: 42 } } });
    expect(fixture.hub.metrics.bytesSentTotal - before).toBeLessThan(200);
    expect(sidecar.violations).toEqual([]);
  });

  test('answers a Hello that is up to date as well', () => {
    const { fixture, sidecar } = started();
    fixture.disconnect(sidecar);
    sidecar.log.length = 0;
    fixture.connect(sidecar);
    expect(sidecar.log).toEqual(['unchanged-state', 'unchanged-config']);
    fixture.live(20_000, sidecar);
    expect(sidecar.log).toHaveLength(2);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', config: { applied: { index: 41 } } });
  });

  test('continues with a delta, from what the store still has', () => {
    const { fixture, sidecar } = started();
    fixture.restart();
    fixture.publish({ 'service/web': { resources: ['a', 'b'] } });
    fixture.connect(sidecar);
    expect(sidecar.begins.at(-1)?.base.length).toBe(32);
    expect(sidecar.enforced()).toEqual(['a', 'b']);
    expect(sidecar.violations).toEqual([]);
  });

  test('remembers sidecars that are not there, also after a crash', () => {
    const { fixture, sidecar } = started();
    fixture.live(6_000, sidecar);
    fixture.crash();
    fixture.publish({ 'service/web': { resources: ['b'] } });
    expect(fixture.hub.sidecars()).toMatchObject([{ nodeId: 'web-1', connected: false, phase: 'offline', config: { applied: { index: 41 }, desired: { index: 42 }, inSync: false } }]);
    expect(fixture.hub.sidecar('web-1')?.staleSince).not.toBeNull();
    fixture.connect(sidecar);
    expect(fixture.hub.sidecars()).toMatchObject([{ connected: true, phase: 'in-sync' }]);
  });

  test('brings a thousand back with less than 300 bytes of messages each', () => {
    const fixture = new HubFixture();
    fixture.publish({ 'service/web': { resources: ['a'] } });
    const sidecars = Array.from({ length: 1_000 }, (_, i) => fixture.connect({ nodeId: `web-${i}`, subject: web }));
    fixture.restart();
    fixture.publish({ 'service/web': { resources: ['a'] } });
    for (const sidecar of sidecars) fixture.connect(sidecar);
    expect(fixture.hub.sidecars().every(({ phase }) => phase === 'in-sync')).toBe(true);
    expect(fixture.hub.metrics.bytesSentTotal / 1_000).toBeLessThan(300);
  });
});

describe('a replica that is behind', () => {
  test('sheds the stream, asks for the store to be read again, and never pushes', () => {
    const { fixture, sidecar } = started();
    if (sidecar.config) sidecar.config.version = { epoch: 100n, index: 99n };
    fixture.disconnect(sidecar);
    sidecar.log.length = 0;
    fixture.connect(sidecar);
    expect(sidecar.log).toEqual(['shed The sidecar has seen 100.99, this control plane is at 100.41.']);
    expect(sidecar.ended).toBeNull();
    expect(fixture.behind).toEqual([{ epoch: 100, index: 99 }]);
  });

  test('is recognised by the state lane too', () => {
    const { fixture, sidecar } = started();
    if (sidecar.state) sidecar.state.version = { epoch: sidecar.state.version.epoch + 1n, index: 1n };
    fixture.disconnect(sidecar);
    sidecar.log.length = 0;
    fixture.connect(sidecar);
    expect(sidecar.log[0]).toMatch(/^shed/);
  });
});

describe('admission', () => {
  test.each([
    ['node_id', { nodeId: 'no blanks' }], ['subject_kind', { subjectKind: 'mesh' }], ['subject_name', { subjectName: '' }],
    ['advertised', { advertised: [{ name: 'http', host: '', port: 80, protocols: [] }] }], ['labels', { labels: Array.from({ length: 65 }, (_, i) => ({ key: `k${i}`, value: '' })) }],
    ['build', { build: undefined }], ['refused_hashes', { refusedHashes: Array.from({ length: 257 }, () => Buffer.alloc(32)) }],
  ])('refuses a Hello with an unusable %s, naming it', (field, hello) => {
    const { fixture } = started();
    const sidecar = fixture.connect({ nodeId: 'web-2', subject: web, hello });
    expect(sidecar.log).toEqual(['rejected bad-hello']);
    expect(field).not.toBe('');
    expect(fixture.hub.sidecars()).toHaveLength(1);
  });

  test('refuses unknown services and gateways with a suggestion, unless the sidecar enforces something', () => {
    const { fixture, sidecar } = started();
    const messages: string[] = [];
    const lost = new TestSidecar({ nodeId: 'x', subject: { kind: 'service', name: 'wbe' } });
    const receive = lost.receive.bind(lost);
    lost.receive = (message) => {
      if (message.body?.$case === 'rejected') messages.push(message.body.value.message);
      receive(message);
    };
    fixture.connect(lost);
    fixture.connect({ nodeId: 'y', subject: { kind: 'gateway', name: 'edge' } });
    expect(messages).toEqual(['There is no Service named "wbe"; did you mean "web"?']);
    expect(fixture.hub.metrics.rejectionsTotal).toEqual(new Map([['unknown-service', 1], ['unknown-gateway', 1]]));
    fixture.publish({ 'service/other': { resources: ['x'] } });
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ connected: true, phase: 'orphaned' });
    expect(sidecar.enforced()).toEqual(['a']);
    fixture.disconnect(sidecar);
    fixture.connect(sidecar);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ connected: true, phase: 'orphaned' });
    fixture.publish({ 'service/web': { resources: ['b'] } });
    expect(sidecar.enforced()).toEqual(['b']);
  });

  test('prefers the newer incarnation of a node, and tells the older one why', () => {
    const { fixture, sidecar } = started();
    const newer = fixture.connect({ nodeId: 'web-1', subject: web, incarnation: 2 });
    expect(sidecar.log.at(-1)).toBe('rejected replaced');
    expect(sidecar.ended).toBeNull();
    expect(newer.enforced()).toEqual(['a']);
    fixture.connect(sidecar);
    expect(sidecar.log.at(-1)).toBe('rejected older-incarnation');
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ incarnation: 2, phase: 'in-sync' });
  });

  test('lets the same process replace its own older stream', () => {
    const { fixture, sidecar, hub } = started();
    fixture.connect(sidecar);
    expect(hub.sidecar('web-1')).toMatchObject({ connected: true, phase: 'in-sync' });
    expect(hub.metrics.streams).toBe(1);
  });

  test('is bounded', () => {
    const { fixture } = started({ limits: { sidecarsMax: 2 } });
    fixture.connect({ nodeId: 'web-2', subject: web });
    expect(fixture.connect({ nodeId: 'web-3', subject: web }).log).toEqual(['rejected too-many-sidecars']);
  });

  test('goes by identity for as long as a stream lives', () => {
    let ended = false;
    const identity: NodeIdentity = { name: 'mtls', authenticated: true, verify: () => (ended ? { ok: false, reason: 'the certificate expired' } : { ok: true }) };
    const { fixture, sidecar, hub } = started({ identity, limits: { identityCheckEveryMs: 20_000 } });
    fixture.live(60_000, sidecar);
    expect(hub.sidecar('web-1')?.connected).toBe(true);
    ended = true;
    fixture.live(26_000, sidecar);
    expect(hub.sidecar('web-1')?.connected).toBe(false);
    expect(sidecar.log.at(-1)).toBe('rejected identity');
  });

  test('goes by identity', () => {
    const identity: NodeIdentity = { name: 'mtls', authenticated: true, verify: (_, { nodeId }) => (nodeId === 'evil' ? { ok: false, reason: 'no' } : { ok: true }) };
    const { fixture, hub } = started({ identity });
    expect(fixture.connect({ nodeId: 'evil', subject: web }).log).toEqual(['rejected identity']);
    expect(hub.sidecar('web-1')?.authenticated).toBe(true);
  });

  test('needs a Hello, first and once', () => {
    const { fixture, sidecar } = started();
    sidecar.send({ $case: 'hello', value: sidecar.hello() });
    fixture.time.settle();
    expect(sidecar.ended).toMatchObject({ code: 'invalid-argument' });
    const silent = new TestSidecar({ nodeId: 'web-2', subject: web });
    silent.open = () => {};
    fixture.connect(silent);
    fixture.time.advance(12_000);
    expect(silent.ended).toMatchObject({ code: 'deadline-exceeded' });
  });
});

describe('silence', () => {
  test('of 15 s ends a stream; heartbeats keep it', () => {
    const { fixture, sidecar, hub } = started();
    fixture.live(60_000, sidecar);
    expect(hub.sidecar('web-1')?.connected).toBe(true);
    fixture.time.advance(14_000);
    expect(hub.sidecar('web-1')?.connected).toBe(true);
    fixture.time.advance(3_000);
    expect(hub.sidecar('web-1')).toMatchObject({ connected: false, phase: 'offline' });
    expect(fixture.events.at(-1)).toMatchObject({ type: 'sidecar-disconnected', nodeId: 'web-1' });
  });

  test('while this process stood still is not the sidecars\' silence', () => {
    const { fixture, sidecar, hub } = started();
    fixture.live(5_000, sidecar);
    fixture.time.stall(60_000);
    expect(hub.sidecar('web-1')?.connected).toBe(true);
    fixture.live(10_000, sidecar);
    expect(hub.sidecar('web-1')?.connected).toBe(true);
  });

  test('after an update ends the stream too: no ACK in 60 s', () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => 'silent';
    fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.live(59_000, sidecar);
    expect(hub.sidecar('web-1')?.connected).toBe(true);
    fixture.live(4_000, sidecar);
    expect(hub.sidecar('web-1')?.connected).toBe(false);
  });

  test('is not ours: a heartbeat goes out every 5 s', () => {
    const { fixture, sidecar } = started();
    let heartbeats = 0;
    const receive = sidecar.receive.bind(sidecar);
    sidecar.receive = (message) => {
      if (message.body?.$case === 'heartbeat') heartbeats++;
      receive(message);
    };
    fixture.live(60_000, sidecar);
    expect(heartbeats).toBeGreaterThanOrEqual(11);
    expect(heartbeats).toBeLessThanOrEqual(14);
  });
});

describe('status', () => {
  test('comes from the sidecar: what a heartbeat says wins over what was concluded', () => {
    const { fixture, sidecar, hub } = started();
    sidecar.config = null;
    sidecar.resources.clear();
    sidecar.heartbeat();
    fixture.time.settle();
    expect(sidecar.begins).toHaveLength(2);
    expect(sidecar.begins[1]?.base).toHaveLength(0);
    expect(hub.sidecar('web-1')?.phase).toBe('in-sync');
  });

  test('shows the lag of what is pending', () => {
    const { fixture, sidecar, hub } = started();
    sidecar.answer = () => 'silent';
    fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.live(7_000, sidecar);
    expect(hub.sidecar('web-1')).toMatchObject({ phase: 'pending', config: { lagMs: 7_000, inSync: false, desired: { index: 42 }, applied: { index: 41 } } });
  });

  test('is forgotten after a week offline, and beyond the bound the oldest first', () => {
    const { fixture, sidecar, hub } = started({ limits: { rememberedMax: 2 } });
    for (const nodeId of ['web-2', 'web-3', 'web-4']) {
      fixture.time.advance(1_000);
      fixture.disconnect(fixture.connect({ nodeId, subject: web }));
    }
    fixture.live(2_000, sidecar);
    expect(hub.sidecars().map(({ nodeId }) => nodeId)).toEqual(['web-1', 'web-3', 'web-4']);
    fixture.time.advance(8 * 86_400_000);
    expect(hub.sidecars()).toEqual([]);
  });

  test('tells events in order; that a sidecar applied an ordinary push is told by the revision alone', () => {
    const { fixture, sidecar } = started();
    fixture.publish({ 'service/web': { resources: ['b'] } });
    fixture.disconnect(sidecar);
    expect(fixture.events.map(({ type }) => type)).toEqual(['sidecar-connected', 'sidecar-in-sync', 'revision-enforced', 'sidecar-disconnected']);
  });

  test('tells that a sidecar is in sync where that is news: after a refusal, and when it was late', () => {
    const { fixture, sidecar } = started();
    fixture.events.length = 0;
    sidecar.answer = () => ({ nack: NackClass.NACK_CLASS_INVALID });
    fixture.publish({ 'service/web': { resources: ['b'] } });
    sidecar.answer = () => 'ack';
    fixture.publish({ 'service/web': { resources: ['c'] } });
    expect(fixture.events.map(({ type }) => type)).toEqual(['revision-refused', 'sidecar-refused', 'revision-enforced', 'sidecar-in-sync']);
    fixture.events.length = 0;
    fixture.link(sidecar).pause();
    fixture.publish({ 'service/web': { resources: ['d'] } });
    fixture.live(3_000, sidecar);
    fixture.link(sidecar).resume();
    fixture.time.settle();
    expect(fixture.events.map(({ type }) => type)).toEqual(['revision-enforced', 'sidecar-in-sync']);
  });

  test('leaves no timers behind', () => {
    const { fixture } = started();
    fixture.restart();
    fixture.hub.close();
    fixture.registry.close();
    fixture.time.advance(10_000);
    expect(fixture.time.waiting).toBe(0);
  });
});
