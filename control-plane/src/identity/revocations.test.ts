import { decodeRevocations } from '@remora/identity/revocation-facts';
import { describe, expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { ManualTimers } from '@remora/testing/manual-timers';
import { Revocations } from './revocations.ts';
import { dayMs, hourMs, orders, payments, startIdentity, tokenFor, Workload, type IdentityFixture } from './testdata/identity-fixture.ts';

const because = { reason: 'the disk was stolen', author: 'ana' };

async function joined(it: IdentityFixture, subject = orders, nodeId = 'orders-1'): Promise<Workload> {
  const workload = new Workload(subject, nodeId);
  expect(await workload.join(it, tokenFor(it, subject))).toMatchObject({ kind: 'issued' });
  return workload;
}

function believes({ identity }: IdentityFixture, { held, nodeId, subject }: Workload): string {
  const verdict = identity.nodeIdentity.verify({ address: 'x', certificates: held?.chain.slice(0, 1) ?? [] }, { nodeId, subject });
  return verdict.ok ? 'believed' : (verdict.code ?? '');
}

function listed({ identity }: IdentityFixture): string[] {
  const source = identity.items.find(({ kind }) => kind === 'revocations');
  const [item] = source?.itemsFor('service/orders') ?? [];
  return [...(decodeRevocations(item?.body ?? Buffer.alloc(0))?.issuedUntilMs.keys() ?? [])];
}

describe('a revoked instance', () => {
  test('is refused at the push port and cannot renew, whichever of its certificates it shows; others are not touched', async () => {
    const it = startIdentity();
    const [one, other] = [await joined(it), await joined(it, orders, 'orders-2')];
    const first = Object.assign(new Workload(orders, 'orders-1'), { key: one.key, held: one.held });
    it.time.clock.stepWall(hourMs);
    await one.renew(it);
    expect(believes(it, one)).toBe('believed');
    it.identity.revocations.revoke({ subject: 'service/orders', nodeId: 'orders-1', ...because });
    for (const each of [one, first]) {
      expect(believes(it, each)).toBe('certificate-revoked');
      expect(await each.renew(it)).toMatchObject({ kind: 'refused', code: 'certificate-revoked', retry: false });
    }
    expect(believes(it, other)).toBe('believed');
    expect(await other.renew(it)).toMatchObject({ kind: 'issued' });
    expect(listed(it)).toEqual(['service/orders/orders-1']);
    it.identity.close();
  });

  test('comes back with a token made afterwards, and with none from before', async () => {
    const it = startIdentity();
    const one = await joined(it);
    const old = tokenFor(it, orders, { uses: 5 });
    it.time.clock.stepWall(1_000);
    it.identity.revocations.revoke({ subject: 'service/orders', nodeId: 'orders-1', ...because });
    expect(await new Workload(orders, 'orders-1').join(it, old)).toMatchObject({ kind: 'refused', code: 'certificate-revoked' });
    it.time.clock.stepWall(2_000);
    const back = new Workload(orders, 'orders-1');
    expect(await back.join(it, tokenFor(it, orders))).toMatchObject({ kind: 'issued' });
    expect(believes(it, back)).toBe('believed');
    expect(await back.renew(it)).toMatchObject({ kind: 'issued' });
    expect(believes(it, one)).toBe('certificate-revoked');
    it.identity.close();
  });

  test('in the same second as its new certificate: it is asked to try again', async () => {
    const it = startIdentity();
    await joined(it);
    const whole = 1_000 - (it.time.clock.wallMs() % 1_000);
    it.time.clock.stepWall(whole);
    it.identity.revocations.revoke({ subject: 'service/orders', nodeId: 'orders-1', ...because });
    it.time.clock.stepWall(100);
    const back = new Workload(orders, 'orders-1');
    const token = tokenFor(it, orders);
    expect(await back.join(it, token)).toMatchObject({ kind: 'refused', retry: true });
    it.time.clock.stepWall(1_000);
    expect(await back.join(it, token)).toMatchObject({ kind: 'issued' });
    expect(believes(it, back)).toBe('believed');
    it.identity.close();
  });

  test('with its whole service: every instance', async () => {
    const it = startIdentity();
    const [one, two, other] = [await joined(it), await joined(it, orders, 'orders-2'), await joined(it, payments, 'payments-1')];
    it.identity.revocations.revoke({ subject: 'service/orders', nodeId: '', ...because });
    expect([one, two, other].map((each) => believes(it, each))).toEqual(['certificate-revoked', 'certificate-revoked', 'believed']);
    it.identity.close();
  });

  test('stays revoked over restarts, is listed as long as a certificate could be used, and forgotten when it could not be renewed', async () => {
    const it = startIdentity();
    const one = await joined(it);
    it.identity.revocations.revoke({ subject: 'service/orders', nodeId: 'orders-1', ...because });
    it.identity.close();
    const again = startIdentity({ store: it.store, time: it.time });
    expect(believes(again, one)).toBe('certificate-revoked');
    await again.time.advance(600_000);
    expect(listed(again)).toEqual(['service/orders/orders-1']);
    again.time.clock.stepWall(73 * hourMs);
    await again.time.advance(600_000);
    expect(listed(again)).toEqual([]);
    expect(await one.renew(again)).toMatchObject({ code: 'certificate-revoked' });
    again.time.clock.stepWall(31 * dayMs);
    await again.time.advance(600_000);
    expect(again.identity.revocations.list()).toEqual([]);
    again.identity.close();
  });

  test('by mistake: lifted', async () => {
    const it = startIdentity();
    const one = await joined(it);
    const { id } = it.identity.revocations.revoke({ subject: 'service/orders', nodeId: 'orders-1', ...because });
    expect(it.identity.revocations.lift(id)).toBe(true);
    expect(it.identity.revocations.lift(id)).toBe(false);
    expect(believes(it, one)).toBe('believed');
    expect(listed(it)).toEqual([]);
    it.identity.close();
  });
});

test('a thousand revocations are the most, and one of the same instance takes no place', () => {
  const time = new ManualTimers();
  const revocations = new Revocations({ store: createMemoryStore({ clock: time.clock }), clock: time.clock, timers: time, recoveryMs: dayMs });
  for (let i = 0; i < 1_000; i++) revocations.revoke({ subject: 'service/orders', nodeId: `orders-${i}`, ...because });
  expect(() => revocations.revoke({ subject: 'service/orders', nodeId: 'one-more', ...because })).toThrow('roll the authority');
  revocations.revoke({ subject: 'service/orders', nodeId: 'orders-7', ...because });
  expect(revocations.list()).toHaveLength(1_000);
  revocations.close();
});
