import { X509Certificate } from 'node:crypto';
import { decodeTrustBundle, rootDigest } from '@remora/identity/trust-bundle-facts';
import { parseJoinToken } from '@remora/identity/join-token';
import { verifyChain } from '@remora/identity/verify-chain';
import { ManualClock } from '@remora/testing/manual-clock';
import { ManualTimers } from '@remora/testing/manual-timers';
import { TestAuthority } from '@remora/testing/test-authority';
import { describe, expect, test } from 'vitest';
import type { SidecarStatus } from '../push/push-hub.ts';
import { createSealer } from './sealer.ts';
import { bundleItem } from './identity-items.ts';
import { dayMs, hourMs, orders, startIdentity, tokenFor, Workload, type IdentityFixture } from './testdata/identity-fixture.ts';

const windowMs = 600_000;
const key = Buffer.alloc(32, 1).fill(2, 5);

/** Sidecars that hold the bundle of this moment, by node id. */
function holding(it: IdentityFixture, held: Map<string, string>): void {
  it.identity.rotation.observe((nodeId) => (held.has(nodeId) ? ({ trustBundle: held.get(nodeId) ?? '', connected: false, lastSeen: '' } as SidecarStatus) : null));
}

async function fleet(it: IdentityFixture, size: number): Promise<{ readonly workloads: readonly Workload[]; readonly held: Map<string, string>; readonly hold: (...which: readonly number[]) => void }> {
  const token = tokenFor(it, orders, { uses: size });
  const workloads = Array.from({ length: size }, (_, i) => new Workload(orders, `orders-${i}`));
  for (const each of workloads) expect(await each.join(it, token)).toMatchObject({ kind: 'issued' });
  const held = new Map<string, string>();
  holding(it, held);
  return { workloads, held, hold: (...which) => {
    for (const i of which) held.set(`orders-${i}`, bundleItem(it.identity.keeper).hash);
  } };
}

function trusts(roots: readonly X509Certificate[], workload: Workload, nowMs: number): boolean {
  const [leaf, ...intermediates] = (workload.held?.chain ?? []).map((raw) => new X509Certificate(raw));
  return leaf !== undefined && verifyChain({ leaf, intermediates, bundle: { trustDomain: 'remora.local', roots }, nowMs, purpose: 'client' }).ok;
}

describe('a roll of the authority', () => {
  test('goes by its stages, each when every instance can follow; what was issued before stays good until the end', async () => {
    const it = startIdentity();
    const { identity, time } = it;
    const { workloads: [a, b, c], hold } = await fleet(it, 3);
    if (!a || !b || !c) throw new Error('three workloads');
    const [old] = identity.keeper.authority.roots;
    hold(0, 1, 2);
    expect(identity.rotation.start(windowMs)).toMatchObject({ stage: 'add', total: 3, holdBundle: 0, ofSigner: 3, roots: [expect.any(String), expect.any(String)] });
    expect(identity.keeper.authority.issuer.fingerprint256).toBe(old?.fingerprint256);
    hold(0, 1);
    expect(identity.rotation.advance(false)).toBeNull();
    expect(identity.rotation.status()).toMatchObject({ stage: 'add', holdBundle: 2, laggards: [{ nodeId: 'orders-2', subject: 'service/orders', lacks: 'bundle' }] });
    hold(2);
    expect(identity.rotation.advance(false)).toMatchObject({ stage: 'sign', holdBundle: 0, ofSigner: 0 });
    const bundle = decodeTrustBundle(bundleItem(identity.keeper).body);
    expect(bundle).toMatchObject({ signs: rootDigest(identity.keeper.authority.roots[0]?.raw ?? Buffer.alloc(0)), renewWithinMs: windowMs, roots: [expect.anything(), expect.anything()] });
    expect(bundle?.signs).not.toBe(rootDigest(old?.raw ?? Buffer.alloc(0)));
    // Both kinds of certificates are good for who holds both roots, and the server shows the root that everybody has.
    expect(await a.renew(it)).toMatchObject({ kind: 'issued' });
    for (const each of [a, b, c]) expect(trusts(identity.keeper.authority.roots, each, time.clock.wallMs())).toBe(true);
    expect(identity.keeper.serving.issuer.fingerprint256).toBe(old?.fingerprint256);
    hold(0, 1, 2);
    expect(identity.rotation.advance(false)).toBeNull();
    expect(identity.rotation.status()).toMatchObject({ holdBundle: 3, ofSigner: 1, laggardCount: 2, laggards: [{ lacks: 'certificate' }, { lacks: 'certificate' }] });
    await b.renew(it);
    await c.renew(it);
    expect(identity.rotation.advance(false)).toMatchObject({ stage: 'none', ofSigner: 3 });
    expect(identity.keeper.authority.roots).toHaveLength(1);
    for (const each of [a, b, c]) expect(trusts(identity.keeper.authority.roots, each, time.clock.wallMs())).toBe(true);
    expect(await a.renew(it)).toMatchObject({ kind: 'issued' });
    identity.close();
  });

  test('forced past an instance that slept: it renews with its old certificate, for as long as it could have', async () => {
    const it = startIdentity();
    const { identity, time } = it;
    const { workloads: [asleep] } = await fleet(it, 1);
    const roll = (): void => {
      identity.rotation.start(windowMs);
      identity.rotation.advance(true);
      expect(identity.rotation.advance(true)).toMatchObject({ stage: 'none', ofSigner: 0 });
    };
    roll();
    expect(await asleep?.renew(it)).toMatchObject({ kind: 'issued' });
    roll();
    time.clock.stepWall(40 * dayMs);
    expect(await asleep?.renew(it)).toMatchObject({ kind: 'refused' });
    identity.close();
  });

  test('goes back: from sign to add, and out of it when nobody has a certificate of the next root', async () => {
    const it = startIdentity();
    const { identity } = it;
    const { workloads: [a], hold } = await fleet(it, 1);
    const before = identity.keeper.authority.issuer.fingerprint256;
    identity.rotation.start(windowMs);
    hold(0);
    identity.rotation.advance(false);
    await a?.renew(it);
    expect(identity.rotation.abort(false)).toMatchObject({ stage: 'add', ofSigner: 0 });
    expect(identity.keeper.authority.issuer.fingerprint256).toBe(before);
    expect(identity.rotation.abort(false)).toBeNull();
    await a?.renew(it);
    expect(identity.rotation.abort(false)).toMatchObject({ stage: 'none', ofSigner: 1 });
    expect(identity.keeper.authority.roots).toHaveLength(1);
    identity.close();
  });

  test.each(['add', 'sign', 'none'])('in stage %s is the same after a restart, and no key is readable', async (stage) => {
    const it = startIdentity({ sealer: createSealer(key) });
    const { identity, store, time } = it;
    await fleet(it, 1);
    identity.rotation.start(windowMs);
    if (stage !== 'add') identity.rotation.advance(true);
    if (stage === 'none') identity.rotation.advance(true);
    const says = ({ authority, serving, sequence, rotation, retiredRoots }: typeof identity.keeper): object => ({
      signs: authority.issuer.fingerprint256, roots: authority.roots.map((root) => root.fingerprint256), serving: serving.issuer.fingerprint256, sequence, stage: rotation?.stage, retired: retiredRoots.length,
    });
    const before = says(identity.keeper);
    const secret = [identity.keeper.authority.key, identity.keeper.rotation?.next.key].map((one) => one?.export({ type: 'pkcs8', format: 'der' }).toString('base64').slice(60, 100) ?? 'x-x');
    identity.close();
    const again = startIdentity({ store, time, sealer: createSealer(key) }).identity;
    expect(says(again.keeper)).toEqual(before);
    const kept = JSON.stringify([...store.records('identity.authority')]);
    for (const text of secret) expect(kept).not.toContain(text);
    again.close();
  });

  test('bundles count up, over restarts, and only when they differ', () => {
    const it = startIdentity();
    const first = it.identity.keeper.sequence;
    it.identity.close();
    const again = startIdentity({ store: it.store, time: it.time });
    expect(again.identity.keeper.sequence).toBe(first);
    again.identity.rotation.start(windowMs);
    again.identity.rotation.advance(true);
    expect(again.identity.keeper.sequence).toBe(first + 2);
    again.identity.close();
  });

  test('a token made while it rolls names both roots; older ones are counted', async () => {
    const it = startIdentity();
    const { identity, time } = it;
    tokenFor(it, orders);
    time.clock.stepWall(1_000);
    identity.rotation.start(windowMs);
    const token = parseJoinToken(tokenFor(it, orders));
    expect(typeof token === 'string' ? '' : token.pin.split('~')).toHaveLength(2);
    expect(identity.rotation.status().oldTokens).toBe(1);
    expect(() => identity.rotation.start(windowMs)).toThrow('under way already');
    identity.close();
  });

  test('certificates that ended stand in nobody\'s way', async () => {
    const it = startIdentity();
    await fleet(it, 2);
    it.time.clock.stepWall(73 * hourMs);
    it.identity.rotation.start(windowMs);
    expect(it.identity.rotation.status()).toMatchObject({ total: 0 });
    expect(it.identity.rotation.advance(false)).toMatchObject({ stage: 'sign' });
    it.identity.close();
  });
});

describe('a roll of an authority from files', () => {
  const root = new TestAuthority('old root');
  const next = new TestAuthority('next root');
  const middle = new TestAuthority('next intermediate', next);
  const oldFiles = { certificates: root.cert, key: root.key };
  const nextFiles = { certificates: `${middle.cert}${next.cert}`, key: middle.key };
  const realTime = (): ManualTimers => new ManualTimers(new ManualClock(Date.now()));

  test('takes the next one from its files, over restarts, until they are moved', async () => {
    const time = realTime();
    const it = startIdentity({ time, readFiles: () => oldFiles, readNextFiles: () => nextFiles });
    const { workloads: [a] } = await fleet(it, 1);
    it.identity.rotation.start(windowMs);
    it.identity.rotation.advance(true);
    expect(await a?.renew(it)).toMatchObject({ kind: 'issued' });
    expect(a?.held?.leaf.issuer).toBe('CN=next intermediate');
    it.identity.rotation.advance(true);
    it.identity.close();
    const still = startIdentity({ store: it.store, time, readFiles: () => oldFiles, readNextFiles: () => nextFiles });
    expect(still.identity.keeper.authority.issuer.subject).toBe('CN=next intermediate');
    expect(still.identity.keeper.authority.roots).toHaveLength(1);
    still.identity.close();
    const moved = startIdentity({ store: it.store, time, readFiles: () => nextFiles });
    expect(moved.identity.keeper.authority.issuer.subject).toBe('CN=next intermediate');
    expect(moved.identity.keeper.retiredRoots).toHaveLength(1);
    moved.identity.close();
  });

  test.each([
    ['are not given', null, '--ca-next-certificate-file'],
    ['are the same root', (): typeof oldFiles => oldFiles, 'no other root'],
    ['are damaged', (): typeof oldFiles => ({ certificates: 'x', key: 'y' }), 'the next authority: the certificates'],
  ])('is refused where its files %s', (_name, readNextFiles, problem) => {
    const it = startIdentity({ time: realTime(), readFiles: () => oldFiles, readNextFiles });
    expect(() => it.identity.rotation.start(windowMs)).toThrow(problem);
    it.identity.close();
  });
});
