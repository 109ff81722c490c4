import { expect, test } from 'vitest';
import { reportLayout, StateReports } from './state-reports.ts';

test('threads that know different things of the hosts tell one beginning and one end between them', () => {
  const events: string[] = [];
  const buffer = new SharedArrayBuffer(reportLayout.commonBytes + 2 * reportLayout.rowBytes);
  const threads = [0, 1].map((own) => ({ reports: new StateReports({ event: ({ event }) => void events.push(event) }, () => ({ buffer, rows: 2, own })), seen: { state: 0, since: 0 }, failover: false }));
  const about = { service: 'orders', place: 77, figures: () => '1 of 2 hosts are usable' };
  let now = 0;
  const look = (seconds: number): void => {
    for (let i = 0; i < seconds * 10; i++) {
      now += 100;
      for (const { reports, seen, failover } of threads) reports.look(seen, { panic: false, failover }, about, now);
    }
  };
  const [one, other] = threads as [(typeof threads)[number], (typeof threads)[number]];
  one.failover = true;
  look(30);
  expect(events).toEqual(['failover']);
  other.failover = true;
  look(5);
  one.failover = false;
  look(5);
  expect(events).toEqual(['failover']);
  other.failover = false;
  look(5);
  expect(events).toEqual(['failover', 'failover-ended']);
});
