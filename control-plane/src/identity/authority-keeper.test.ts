import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readEncryptionKey } from '@remora/identity/encryption-key';
import { TestAuthority } from '@remora/testing/test-authority';
import { ManualTimers } from '@remora/testing/manual-timers';
import { ManualClock } from '@remora/testing/manual-clock';
import { describe, expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { authorityFromFiles } from './signing-authority.ts';
import { createSealer } from './sealer.ts';
import { orders, startIdentity, tokenFor, Workload } from './testdata/identity-fixture.ts';

const keyA = Buffer.alloc(32, 1).fill(2, 5);
const keyB = Buffer.alloc(32, 3).fill(2, 5);
const realTime = (): ManualTimers => new ManualTimers(new ManualClock(Date.now()));

describe('the authority at rest', () => {
  test('is the same after a restart, and its key is not readable in the store', () => {
    const time = new ManualTimers();
    const store = createMemoryStore({ clock: time.clock });
    const first = startIdentity({ store, time, sealer: createSealer(keyA) }).identity.keeper.authority;
    const second = startIdentity({ store, time, sealer: createSealer(keyA) }).identity.keeper.authority;
    expect(second.issuer.fingerprint256).toBe(first.issuer.fingerprint256);
    expect(second.key.equals(first.key)).toBe(true);
    const der = first.key.export({ type: 'pkcs8', format: 'der' });
    const kept = JSON.stringify(store.records('identity.authority').get('authority'));
    expect(kept).toContain('aes-256-gcm');
    expect(kept).not.toContain(der.toString('base64').slice(60, 100));
  });

  test.each([
    ['without the key', null, 'no encryption key is given'],
    ['with another key', keyB, 'sealed with another encryption key'],
  ])('does not open %s', (_name, key, message) => {
    const time = new ManualTimers();
    const store = createMemoryStore({ clock: time.clock });
    startIdentity({ store, time, sealer: createSealer(keyA) });
    expect(() => startIdentity({ store, time, sealer: createSealer(key) })).toThrow(message);
  });

  test('changed in the store does not open', () => {
    const sealer = createSealer(keyA);
    const sealed = sealer.seal('x', Buffer.from('secret'));
    expect(sealer.open('x', sealed).toString()).toBe('secret');
    const nonce = Buffer.from(sealed['nonce'] as string, 'base64');
    nonce[0] = (nonce[0] ?? 0) ^ 1;
    for (const changed of [{ ...sealed, nonce: nonce.toString('base64') }, { ...sealed, tag: '' }, { ...sealed, data: 'AAAA' }]) expect(() => sealer.open('x', changed)).toThrow('changed or is damaged');
    expect(() => sealer.open('y', sealed)).toThrow('changed or is damaged');
  });

  test('kept in the open is encrypted from the first start with a key on', () => {
    const time = new ManualTimers();
    const store = createMemoryStore({ clock: time.clock });
    const before = startIdentity({ store, time, sealer: createSealer(null) }).identity;
    expect(before.authorityStatus().encrypted).toBe(false);
    startIdentity({ store, time, sealer: createSealer(keyA) });
    expect(store.records('identity.authority').get('authority')?.['key']).toMatchObject({ cipher: 'aes-256-gcm' });
  });

  test.each([
    [Buffer.alloc(32, 1).fill(9, 3).toString('base64'), true], [`${keyA.toString('hex')}\n`, true], ['', false], ['short', false], [Buffer.alloc(31, 1).toString('base64'), false], [Buffer.alloc(32).toString('base64'), false],
  ])('encryption key %s: %s', (text, good) => {
    expect(typeof readEncryptionKey(text) !== 'string').toBe(good);
  });
});

describe('the trust domain', () => {
  test('is the Mesh document\'s until something was handed out, then it stays', async () => {
    const it = startIdentity();
    const { keeper } = it.identity;
    expect(keeper.authority.trustDomain).toBe('remora.local');
    const material = it.identity.server.material;
    keeper.followMesh('shop.example');
    expect(keeper.authority.trustDomain).toBe('shop.example');
    expect(it.identity.server.material).not.toBe(material);
    expect(tokenFor(it, orders)).toMatch(/\.shop\.example$/);
    keeper.followMesh('other.example');
    expect(keeper.authority.trustDomain).toBe('shop.example');
    expect(keeper.problem).toContain('names the trust domain other.example');
    const again = startIdentity({ store: it.store, time: it.time }).identity.keeper;
    expect(again.authority.trustDomain).toBe('shop.example');
    keeper.followMesh('shop.example');
    expect(keeper.problem).toBe('');
  });
});

describe('an authority from files', () => {
  const root = new TestAuthority('company root');
  const middle = new TestAuthority('remora intermediate', root);
  const other = new TestAuthority('next intermediate', root);
  const files = (authority = middle): { certificates: string; key: string } => ({ certificates: `${authority.cert}${root.cert}`, key: authority.key });

  test('signs, and its chain goes along', async () => {
    const it = startIdentity({ time: realTime(), readFiles: () => files() });
    const sidecar = new Workload(orders, 'orders-1');
    const answer = await sidecar.join(it, tokenFor(it, orders));
    expect(answer).toMatchObject({ kind: 'issued' });
    expect(sidecar.held?.chain.map((raw) => new X509Certificate(raw).issuer)).toEqual(['CN=remora intermediate', 'CN=company root']);
    expect(await sidecar.renew(it)).toMatchObject({ kind: 'issued' });
  });

  test('is read again when it changes; what cannot be used is told, and the one before stays', async () => {
    let current = files();
    const it = startIdentity({ time: realTime(), readFiles: () => current });
    const sidecar = new Workload(orders, 'orders-1');
    await sidecar.join(it, tokenFor(it, orders));
    current = { ...files(other), key: middle.key };
    await it.time.advance(30_000);
    expect(it.identity.keeper.problem).toContain('does not belong to the first of its certificates');
    expect(it.identity.keeper.authority.issuer.subject).toBe('CN=remora intermediate');
    current = files(other);
    await it.time.advance(30_000);
    expect(it.identity.keeper.problem).toBe('');
    expect(await sidecar.renew(it)).toMatchObject({ kind: 'issued' });
    expect(sidecar.held?.leaf.issuer).toBe('CN=next intermediate');
  });

  const leaf = root.issue({ commonName: 'leaf' });
  test.each([
    ['nothing', { certificates: '', key: middle.key }, 'there is no certificate in it'],
    ['no key', { certificates: files().certificates, key: 'x' }, 'the key of the authority cannot be read'],
    ['no root', { certificates: middle.cert, key: middle.key }, 'do not end in a root'],
    ['a leaf', { certificates: `${leaf.cert}${root.cert}`, key: leaf.key }, 'is not that of an authority'],
    ['another root', { certificates: `${middle.cert}${new TestAuthority('x').cert}`, key: middle.key }, 'leads to none of the 1 roots'],
  ])('%s is refused', (_name, given, problem) => {
    expect(authorityFromFiles({ ...given, trustDomain: 't', nowMs: Date.now() })).toContain(problem);
  });

  test('may be RSA', () => {
    const rsa = new TestAuthority('rsa', undefined, 'rsa');
    const made = authorityFromFiles({ certificates: rsa.cert, key: rsa.key, trustDomain: 't', nowMs: Date.now() });
    expect(typeof made === 'string' ? made : made.key.equals(createPrivateKey(rsa.key))).toBe(true);
  });
});
