import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock, systemTimers } from '@remora/core/clock';
import { orders, startIdentity, tokenFor, Workload, type IdentityFixture } from '@remora/control-plane/identity/testdata/identity-fixture';
import { openSqliteStore } from '@remora/control-plane/store/sqlite-store';
import { ManualTimers } from '@remora/testing/manual-timers';
import type { BenchRow } from '../bench-document.ts';

const barPerSecond = 500;
const concurrency = 50;

/** Renewals through the enrolment of a control plane, with SQLite below: checks, signature and record; as many as one core does in a second of its time. */
export async function signingRow(count: number): Promise<BenchRow> {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-bench-signing-'));
  const store = openSqliteStore({ path: path.join(folder, 'control-plane.db'), clock: systemClock, timers: systemTimers, alarm: () => {} });
  const it: IdentityFixture = startIdentity({ store, time: new ManualTimers() });
  try {
    const token = tokenFor(it, orders, { uses: 1_000 });
    const fleet = Array.from({ length: concurrency }, (_, i) => new Workload(orders, `orders-${i}`));
    for (const each of fleet) await each.join(it, token);
    // What sidecars do, their keys and requests, is made before and not counted.
    const asked = Array.from({ length: count }, (_, i) => fleet[i % concurrency]?.renewal()).filter((each) => each !== undefined);
    const before = process.cpuUsage();
    let issued = 0;
    for (let at = 0; at < asked.length; at += concurrency) {
      const answers = await Promise.all(asked.slice(at, at + concurrency).map((question) => it.identity.enrolment.renew(question)));
      issued += answers.filter(({ kind }) => kind === 'issued').length;
    }
    const { user, system } = process.cpuUsage(before);
    const perSecond = Math.round(issued / ((user + system) / 1e6));
    return { what: 'SVIDs renewed and signed, with SQLite, per second of one core', value: perSecond, unit: '/s', bar: `≥ ${barPerSecond}/s`, ok: issued === count && perSecond >= barPerSecond };
  } finally {
    it.identity.close();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
