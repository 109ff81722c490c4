import { describe, expect, test } from 'vitest';
import { HubFixture } from './testdata/hub-fixture.ts';

const web = { kind: 'service', name: 'web' } as const;
const orders = { kind: 'service', name: 'orders' } as const;

describe('a push', () => {
  test('brings a new sidecar to the newest content, and says so', async () => {
    const fixture = new HubFixture();
    fixture.publish({ 'service/web': { resources: ['a', 'b'] } });
    const sidecar = fixture.connect({ nodeId: 'web-1', subject: web });
    expect(sidecar.enforced()).toEqual(['a', 'b']);
    expect(fixture.hub.sidecar('web-1')).toMatchObject({ phase: 'in-sync', connected: true, config: { applied: { index: 41 }, inSync: true } });
    const index = fixture.publish({ 'service/web': { resources: ['a', 'c'] } });
    expect(sidecar.enforced()).toEqual(['a', 'c']);
    expect(sidecar.log.filter((word) => word === 'commit')).toHaveLength(2);
    expect(sidecar.violations).toEqual([]);
    await expect(fixture.hub.waitApplied(index, 1_000)).resolves.toMatchObject({ done: true, sidecars: [{ nodeId: 'web-1', outcome: 'applied' }] });
  });

  test('touches nobody else, and nobody where nothing changed', () => {
    const fixture = new HubFixture();
    fixture.publish({ 'service/web': { resources: ['a'] }, 'service/orders': { resources: ['x'] } });
    const one = fixture.connect({ nodeId: 'web-1', subject: web });
    const other = fixture.connect({ nodeId: 'orders-1', subject: orders });
    const before = other.log.length;
    const sent = fixture.hub.metrics.bytesSentTotal;
    fixture.publish({ 'service/web': { resources: ['a'] }, 'service/orders': { resources: ['x'] } });
    expect(fixture.hub.metrics.bytesSentTotal).toBe(sent);
    fixture.publish({ 'service/web': { resources: ['b'] }, 'service/orders': { resources: ['x'] } });
    expect(one.enforced()).toEqual(['b']);
    expect(other.log).toHaveLength(before);
  });
});
