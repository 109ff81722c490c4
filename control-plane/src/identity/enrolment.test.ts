import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemTimers } from '@remora/core/clock';
import { certificatePin, parseJoinToken } from '@remora/identity/join-token';
import { signRenewal } from '@remora/identity/renewal-proof';
import { verifyChain } from '@remora/identity/verify-chain';
import { ManualTimers } from '@remora/testing/manual-timers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMemoryStore } from '../store/memory-store.ts';
import { openSqliteStore } from '../store/sqlite-store.ts';
import type { Store } from '../store/store.ts';
import { dayMs, hourMs, newKey, orders, payments, startIdentity, tokenFor, Workload, type IdentityFixture } from './testdata/identity-fixture.ts';

/** What enrolment promises, whatever the store. `reopen`: as a process that was killed and started again finds it. */
function enrolmentContract(name: string, open: (time: ManualTimers, folder: string, before: Store | null) => Store): void {
  describe(`enrolment: ${name}`, () => {
    let folder: string;
    let time: ManualTimers;
    let store: Store;
    let it: IdentityFixture;
    beforeEach(() => {
      folder = mkdtempSync(path.join(tmpdir(), 'remora-identity-'));
      time = new ManualTimers();
      store = open(time, folder, null);
      it = startIdentity({ store, time });
    });
    afterEach(async () => {
      it.identity.close();
      await store.close();
      rmSync(folder, { recursive: true });
    });
    const restart = async (): Promise<void> => {
      it.identity.close();
      await store.close();
      store = open(time, folder, store);
      it = startIdentity({ store, time });
    };
    const codeOf = (answer: { readonly kind: string; readonly code?: string }): string => answer.code ?? answer.kind;

    test('a token brings a certificate of its service that verifies', async () => {
      const sidecar = new Workload(orders, 'orders-1');
      const token = tokenFor(it, orders);
      const answer = await sidecar.join(it, token);
      if (answer.kind !== 'issued') throw new Error(answer.message);
      const { trustDomain, roots } = it.identity.keeper.authority;
      const checked = verifyChain({ leaf: answer.leaf, intermediates: [], bundle: { trustDomain, roots }, nowMs: time.clock.wallMs(), purpose: 'client' });
      expect(checked).toMatchObject({ ok: true, id: { trustDomain: 'remora.local', path: '/service/orders' }, commonName: 'orders-1' });
      expect(answer.leaf.validToDate.getTime() - time.clock.wallMs()).toBe(72 * hourMs);
      expect(answer.recoverUntilMs).toBe(answer.leaf.validToDate.getTime() + 30 * dayMs);
      const parsed = parseJoinToken(token);
      expect(typeof parsed === 'string' ? '' : parsed.pin).toBe(certificatePin(answer.roots[0] ?? Buffer.alloc(0)));
      expect(it.identity.nodes.list()).toMatchObject([{ nodeId: 'orders-1', subject: 'service/orders', how: 'join', serials: [answer.leaf.serialNumber] }]);
      expect(it.identity.enrolment.counts.issued.get('join')).toBe(1);
    });

    test('uses are counted, also by ten at once, and after a restart', async () => {
      const token = tokenFor(it, orders, { uses: 3 });
      const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => new Workload(orders, `orders-${n}`).join(it, token)));
      expect(answers.map(codeOf).sort()).toEqual([...Array<string>(3).fill('issued'), ...Array<string>(7).fill('token-used-up')]);
      await restart();
      expect(codeOf(await new Workload(orders, 'late').join(it, token))).toBe('token-used-up');
      expect(it.identity.tokens.list()).toMatchObject([{ subject: 'service/orders', uses: 3, used: 3, state: 'used-up' }]);
    });

    test('a lost answer costs no use: the same instance with the same key asks again; with another key it is another', async () => {
      const sidecar = new Workload(orders, 'orders-1');
      const token = tokenFor(it, orders);
      expect(codeOf(await sidecar.join(it, token))).toBe('issued');
      await restart();
      expect(codeOf(await sidecar.join(it, token))).toBe('issued');
      expect(codeOf(await sidecar.join(it, token, sidecar.request({ key: newKey() })))).toBe('token-used-up');
      expect(codeOf(await new Workload(orders, 'orders-2').join(it, token))).toBe('token-used-up');
    });

    test('what a token refuses', async () => {
      const token = tokenFor(it, orders);
      const sidecar = new Workload(orders, 'orders-1');
      expect(codeOf(await new Workload(payments, 'orders-1').join(it, token))).toBe('other-subject');
      expect(codeOf(await new Workload({ kind: 'gateway', name: 'orders' }, 'orders-1').join(it, token))).toBe('other-subject');
      expect(codeOf(await sidecar.join(it, token, sidecar.request({ spiffeId: 'spiffe://remora.local/service/payments' })))).toBe('other-subject');
      expect(codeOf(await sidecar.join(it, token, sidecar.request({ spiffeId: 'spiffe://other/service/orders' })))).toBe('other-subject');
      expect(codeOf(await sidecar.join(it, token.replace(/^(rmj1\.[^.]+\.).{4}/, '$1AAAA')))).toBe('token-unknown');
      expect(codeOf(await sidecar.join(it, token.replace(/^rmj1\.[^.]+/, 'rmj1.aaaaaaaaaaaa')))).toBe('token-unknown');
      expect(codeOf(await sidecar.join(it, token, Buffer.from('x')))).toBe('bad-request');
      expect(codeOf(await new Workload(orders, 'a/b').join(it, token))).toBe('bad-request');
      expect(codeOf(await new Workload(orders, 'x'.repeat(65)).join(it, token))).toBe('bad-request');
      // None of these was a use.
      expect(codeOf(await sidecar.join(it, token))).toBe('issued');
      await time.advance(hourMs);
      expect(codeOf(await sidecar.join(it, token))).toBe('token-expired');
      const revoked = tokenFor(it, orders);
      it.identity.tokens.revoke(String(revoked.split('.')[1]));
      await restart();
      expect(codeOf(await sidecar.join(it, revoked))).toBe('token-revoked');
    });

    test('an instance\'s name belongs to its service', async () => {
      await new Workload(orders, 'one').join(it, tokenFor(it, orders));
      await restart();
      expect(codeOf(await new Workload(payments, 'one').join(it, tokenFor(it, payments)))).toBe('node-id-taken');
    });

    test('renewal: with the key of the certificate before, for the same service, again and again', async () => {
      const sidecar = new Workload(orders, 'orders-1');
      await sidecar.join(it, tokenFor(it, orders));
      for (let round = 0; round < 5; round++) {
        await time.advance(36 * hourMs);
        expect(codeOf(await sidecar.renew(it))).toBe('issued');
        if (round === 2) await restart();
      }
      expect(it.identity.nodes.list()).toMatchObject([{ how: 'renew' }]);
      expect(it.identity.nodes.list()[0]?.serials.length).toBe(2);
    });

    test('what a renewal refuses', async () => {
      const sidecar = new Workload(orders, 'orders-1');
      await sidecar.join(it, tokenFor(it, orders));
      const stranger = startIdentity();
      const other = new Workload(orders, 'orders-1');
      await other.join(stranger, tokenFor(stranger, orders));
      const request = sidecar.request();
      expect(codeOf(await sidecar.renew(it, { chain: [] }))).toBe('bad-request');
      expect(codeOf(await sidecar.renew(it, { chain: [Buffer.from('x')] }))).toBe('bad-request');
      expect(codeOf(await sidecar.renew(it, { proof: Buffer.from('x') }))).toBe('key-proof');
      expect(codeOf(await sidecar.renew(it, { proof: signRenewal(request, other.key), request }))).toBe('key-proof');
      expect(codeOf(await sidecar.renew(it, { request: new Workload(payments, 'orders-1').request() }))).toBe('other-subject');
      expect(codeOf(await other.renew(it))).toBe('certificate-untrusted');
      expect(codeOf(await sidecar.renew(it, { chain: it.identity.keeper.authority.roots.map(({ raw }) => raw), request }))).toBe('certificate-names');
      const asPayments = sidecar.request({ spiffeId: 'spiffe://remora.local/service/payments' });
      expect(codeOf(await sidecar.renew(it, { request: asPayments, proof: signRenewal(asPayments, sidecar.key) }))).toBe('other-subject');
      expect(codeOf(await sidecar.renew(it))).toBe('issued');
      stranger.identity.close();
    });

    test('a sidecar that slept comes back within 30 days after the end of its certificate, and not later', async () => {
      const sidecar = new Workload(orders, 'orders-1');
      await sidecar.join(it, tokenFor(it, orders));
      await time.advance(3 * dayMs + 29 * dayMs);
      await restart();
      expect(codeOf(await sidecar.renew(it))).toBe('issued');
      expect(it.identity.nodes.list()).toMatchObject([{ how: 'recover' }]);
      await time.advance(3 * dayMs + 30 * dayMs);
      const late = await sidecar.renew(it);
      expect(late).toMatchObject({ kind: 'refused', code: 'certificate-expired', message: expect.stringContaining('a new join token is needed') });
    });

    test('an old copy of a data directory does not come back; the certificate whose successor was lost does', async () => {
      const sidecar = new Workload(orders, 'orders-1');
      await sidecar.join(it, tokenFor(it, orders));
      const copies: Workload[] = [];
      for (let round = 0; round < 3; round++) {
        copies.push(Object.assign(new Workload(orders, 'orders-1'), { key: sidecar.key, held: sidecar.held }));
        await sidecar.renew(it);
      }
      await time.advance(5 * dayMs);
      expect(codeOf(await (copies[0] as Workload).renew(it))).toBe('superseded');
      expect(codeOf(await (copies[1] as Workload).renew(it))).toBe('superseded');
      expect(codeOf(await (copies[2] as Workload).renew(it))).toBe('issued');
    });

    test('no secret is in what is logged or listed', async () => {
      const token = tokenFor(it, orders);
      const secret = String(token.split('.')[2]);
      const sidecar = new Workload(orders, 'orders-1');
      await new Workload(payments, 'p').join(it, token);
      await sidecar.join(it, token);
      await sidecar.renew(it, { proof: Buffer.from('x') });
      const emitted = [...it.lines, JSON.stringify(it.identity.tokens.list()), JSON.stringify(it.identity.nodes.list()), JSON.stringify([...store.records('identity.tokens')])].join('\n');
      expect(emitted).toContain('issued a certificate');
      for (const planted of [secret, 'PRIVATE KEY']) expect(emitted).not.toContain(planted);
    });
  });
}

enrolmentContract('memory', ({ clock }, _folder, before) => (before ? Object.assign(before, { close: async () => {} }) : Object.assign(createMemoryStore({ clock }), { close: async () => {} })));
enrolmentContract('SQLite', ({ clock }, folder) => openSqliteStore({ path: path.join(folder, 'x.db'), clock, timers: systemTimers, alarm: (error) => { throw error; } }));
