import { beforeEach, describe, expect, test } from 'vitest';
import { reportLayout, StateReports, type ReportedSet, type ReportedState } from './state-reports.ts';

const rows = 2;
let events: string[];
let now = 0;
beforeEach(() => {
  events = [];
});

/** What one balancer of one thread sees of a set of hosts. */
class Thread {
  readonly reports: StateReports;
  readonly seen = new Map<number, ReportedState>();
  failover = false;
  panic = false;

  constructor(buffer: SharedArrayBuffer, own: number) {
    this.reports = new StateReports({ buffer, rows, own });
  }

  look(key: number): void {
    const seen = this.seen.get(key) ?? { state: 0, since: 0, told: 0 };
    this.seen.set(key, seen);
    const about: ReportedSet = { service: `service-${key}`, key, figures: () => '1 of 2 hosts are usable', context: { event: ({ event, service }) => void events.push(`${service} ${event}`) } };
    this.reports.look(seen, this, about, now);
  }
}

const memory = (): SharedArrayBuffer => new SharedArrayBuffer(reportLayout.commonBytes + rows * reportLayout.rowBytes);

function pair(buffer = memory()): readonly [Thread, Thread] {
  return [new Thread(buffer, 0), new Thread(buffer, 1)];
}

function look(seconds: number, threads: readonly Thread[], keys: readonly number[] = [77]): void {
  for (let i = 0; i < seconds * 10; i++) {
    now += 100;
    for (const thread of threads) for (const key of keys) thread.look(key);
  }
}

describe('threads that share memory', () => {
  test('tell one beginning and one end between them, whatever each knows of the hosts', () => {
    const [one, other] = pair();
    one.failover = true;
    look(30, [one, other]);
    expect(events).toEqual(['service-77 failover']);
    other.failover = true;
    look(5, [one, other]);
    one.failover = false;
    look(5, [one, other]);
    expect(events).toEqual(['service-77 failover']);
    other.failover = false;
    look(5, [one, other]);
    expect(events).toEqual(['service-77 failover', 'service-77 failover-ended']);
  });

  test('tell each set for itself, as many as there are places, and beyond them each thread tells what it sees', () => {
    const [one, other] = pair();
    // Neighbours by name, and by what is left of it: 512 sets that are ill, none of which knows of another.
    const keys = Array.from({ length: 512 }, (_, i) => i * 1_024 + 3);
    one.panic = other.panic = true;
    look(3, [one, other], keys);
    expect(events.toSorted()).toEqual(keys.map((key) => `service-${key} panic`).toSorted());
    events.length = 0;
    look(3, [one, other], [5]);
    expect(events).toEqual(['service-5 panic', 'service-5 panic']);
    events.length = 0;
    one.panic = other.panic = false;
    look(3, [one, other], [5, ...keys]);
    expect(events.toSorted()).toEqual(['service-5 panic-ended', ...keys, 5].map((key) => (typeof key === 'number' ? `service-${key} panic-ended` : key)).toSorted());
  });

  test('a set that is well says nothing of one that is not', () => {
    const [one] = pair();
    const seen = { state: 0, since: 0, told: 0 };
    one.panic = true;
    for (let i = 0; i < 100; i++) {
      now += 100;
      one.look(512 + 9);
      one.reports.look(seen, { panic: false, failover: false }, { service: 'well', key: 9, figures: () => '', context: { event: ({ event }) => void events.push(`well ${event}`) } }, now);
    }
    expect(events).toEqual(['service-521 panic']);
  });
});

describe('what was said', () => {
  test('ends with the last snapshot in which somebody chooses so', () => {
    const [one, other] = pair();
    one.panic = other.panic = true;
    look(3, [one, other]);
    expect(one.reports.quiet).toBe(false);
    one.reports.lapse();
    expect(events).toEqual(['service-77 panic']);
    other.reports.lapse();
    expect(events).toEqual(['service-77 panic', 'service-77 panic-ended']);
    expect(one.reports.quiet).toBe(true);
    // Requests of the old snapshot still come by.
    look(3, [one, other]);
    expect(events).toEqual(['service-77 panic', 'service-77 panic-ended']);
  });

  test('by a thread that died is said no more: the others tell its end', () => {
    const buffer = memory();
    const [one, other] = pair(buffer);
    one.panic = true;
    look(3, [one, other]);
    new Uint8Array(buffer, reportLayout.commonBytes, reportLayout.rowBytes).fill(0);
    look(1, [other]);
    expect(events).toEqual(['service-77 panic', 'service-77 panic-ended']);
  });
});
