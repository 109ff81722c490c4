import { settle } from '@remora/testing/manual-timers';
import { describe, expect, test } from 'vitest';
import { ClientFixture, snapshot } from './testdata/client-fixture.ts';

describe('the link', () => {
  test('says Hello first, then a heartbeat every five seconds', async () => {
    const fixture = await new ClientFixture().start();
    const { last } = fixture.controlPlane;
    expect(last.hello.build?.kinds).toEqual([{ kind: 'note', format: 1 }]);
    for (let i = 0; i < 4; i++) {
      await fixture.timers.advance(5_000);
      last.heartbeat();
    }
    expect(last.received.filter(({ body }) => body?.$case === 'heartbeat')).toHaveLength(4);
  });

  test('takes silence of fifteen seconds for the end, and says since when there is no contact', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.timers.advance(4_000);
    fixture.controlPlane.last.heartbeat();
    const contact = fixture.timers.clock.wallMs();
    await fixture.timers.advance(21_000);
    expect(fixture.controlPlane.streams[0]?.closed).toBe(true);
    expect(fixture.client.status.link).toMatchObject({ connected: false, staleSinceMs: contact });
    expect(fixture.controlPlane.streams.length).toBeGreaterThan(1);
  });

  test('never hears a word: the same', async () => {
    const fixture = new ClientFixture();
    await fixture.client.restore();
    fixture.client.connect(fixture.controlPlane);
    await fixture.timers.advance(16_000);
    expect(fixture.controlPlane.streams[0]?.closed).toBe(true);
    expect(fixture.links).toEqual(['down']);
  });

  test('reconnects ever more slowly, to each address in turn, and never spins', async () => {
    const fixture = await new ClientFixture().start();
    const at: number[] = [];
    for (let i = 0; i < 12; i++) {
      fixture.controlPlane.last.end();
      const { length } = fixture.controlPlane.streams;
      const from = fixture.timers.clock.monotonicMs();
      while (fixture.controlPlane.streams.length === length) await fixture.timers.advance(10);
      at.push(fixture.timers.clock.monotonicMs() - from);
    }
    expect(Math.min(...at)).toBeGreaterThanOrEqual(20);
    expect(Math.max(...at)).toBeLessThanOrEqual(10_010);
    expect(Math.max(...at.slice(6))).toBeGreaterThan(1_000);
    expect(new Set(fixture.controlPlane.streams.map(({ address }) => address))).toEqual(new Set(['a:1', 'b:1']));
  });

  test('spreads the reconnects of a fleet', async () => {
    const delays = new Set<number>();
    for (let seed = 1; seed <= 40; seed++) {
      const fixture = await new ClientFixture({ seed }).start();
      fixture.controlPlane.last.end();
      const from = fixture.timers.clock.monotonicMs();
      while (fixture.controlPlane.streams.length === 1) await fixture.timers.advance(1);
      delays.add(Math.round((fixture.timers.clock.monotonicMs() - from) / 10));
    }
    expect(delays.size).toBeGreaterThan(8);
  });

  test('shed with other addresses goes there; without, comes back no earlier than asked', async () => {
    const fixture = await new ClientFixture().start();
    fixture.controlPlane.last.say({ $case: 'shed', value: { retryAfterMs: 0n, otherAddresses: ['c:1'], reason: 'full' } });
    await fixture.timers.advance(500);
    expect(fixture.controlPlane.last.address).toBe('c:1');
    fixture.controlPlane.last.say({ $case: 'shed', value: { retryAfterMs: 30_000n, otherAddresses: [], reason: 'full' } });
    const { length } = fixture.controlPlane.streams;
    await fixture.timers.advance(29_000);
    expect(fixture.controlPlane.streams).toHaveLength(length);
    await fixture.timers.advance(17_000);
    expect(fixture.controlPlane.streams.length).toBeGreaterThan(length);
  });

  test('rejected keeps the word, and asks again slowly', async () => {
    const fixture = await new ClientFixture().start();
    fixture.controlPlane.last.say({ $case: 'rejected', value: { code: 'unknown-service', message: 'there is no gateway edge', retry: false, retryAfterMs: 0n } });
    expect(fixture.client.status.link.rejected).toEqual({ code: 'unknown-service', message: 'there is no gateway edge' });
    await fixture.timers.advance(9_000);
    expect(fixture.controlPlane.streams).toHaveLength(1);
    await fixture.timers.advance(7_000);
    expect(fixture.controlPlane.streams).toHaveLength(2);
    fixture.controlPlane.last.heartbeat();
    expect(fixture.client.status.link.rejected).toBeNull();
  });

  test('words of a stream that is over are not heard', async () => {
    const fixture = await new ClientFixture().start();
    const [old] = fixture.controlPlane.streams;
    old?.end();
    await fixture.timers.advance(2_000);
    old?.push(snapshot(1));
    old?.end();
    await settle();
    expect(fixture.dataPlane.calls).toEqual([]);
  });

  test('leaving waits for the word of the control plane, or for nobody when it goes', async () => {
    const fixture = await new ClientFixture().start();
    const safe = fixture.client.leave(10_000);
    fixture.controlPlane.last.say({ $case: 'safeToStop', value: { stragglers: ['web-1'] } });
    expect(await safe).toEqual(['web-1']);
    const lost = fixture.client.leave(10_000);
    fixture.controlPlane.last.end();
    expect(await lost).toBeNull();
    await fixture.timers.advance(2_000);
    expect(fixture.controlPlane.last.hello.leaving).toBe(true);
    expect(await fixture.client.leave(1)).toBeNull();
  });

  test('closing leaves no timer behind', async () => {
    const fixture = await new ClientFixture().start();
    await fixture.push(snapshot(1));
    await fixture.client.close();
    await settle();
    expect(fixture.timers.size).toBe(0);
    expect(fixture.controlPlane.last.closed).toBe(true);
  });
});
