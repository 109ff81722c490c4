import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { seededRandom } from '@remora/core/random';
import type { Subject } from '@remora/core/subject';
import { ManualTimers } from '@remora/testing/manual-timers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../telemetry/log.ts';
import { FileIdentityDisk } from './file-identity-disk.ts';
import { IdentityKeeper, type IdentityKeeperDeps } from './identity-keeper.ts';
import { dayMs, MemoryEnrolment, MemoryIdentityDisk } from './testdata/memory-enrolment.ts';

const orders: Subject = { kind: 'service', name: 'orders' };
const hourMs = 3_600_000;

let time: ManualTimers;
let enrolment: MemoryEnrolment;
let disk: MemoryIdentityDisk;
let lines: string[];
const open: IdentityKeeper[] = [];
beforeEach(() => {
  time = new ManualTimers();
  enrolment = new MemoryEnrolment(time.clock);
  disk = new MemoryIdentityDisk();
  lines = [];
});
afterEach(() => {
  for (const keeper of open.splice(0)) keeper.close();
});

async function start(more: Partial<IdentityKeeperDeps> = {}): Promise<IdentityKeeper> {
  const log = createLog({ level: 'debug', clock: time.clock, write: (line) => lines.push(line) });
  const keeper = new IdentityKeeper({ subject: orders, nodeId: 'orders-1', token: enrolment.token, disk, enrolment, clock: time.clock, timers: time, random: seededRandom(3), log, ...more });
  open.push(keeper);
  await keeper.start();
  return keeper;
}

/** Moves time by steps, as a process that runs has it. */
async function live(ms: number): Promise<void> {
  await time.advance(ms);
}

describe('the first certificate', () => {
  test('comes for the token, and is kept', async () => {
    const keeper = await start();
    expect(keeper.current).toMatchObject({ spiffeId: 'spiffe://shop.example/service/orders', trustDomain: 'shop.example' });
    expect(keeper.status).toMatchObject({ problem: '', persisted: true, endsMs: time.clock.wallMs() + 72 * hourMs });
    expect(disk.stored.held).not.toBeNull();
    expect(disk.stored.joining).toBeNull();
  });

  test('is asked for again and again, always with the same key, over restarts too', async () => {
    enrolment.next = { kind: 'unreachable', cause: 'nobody there' };
    const keeper = await start();
    await live(10 * 60_000);
    expect(keeper.status.problem).toBe('nobody there');
    const asked = enrolment.asked.length;
    expect(asked).toBeGreaterThan(10);
    expect(asked).toBeLessThan(60);
    keeper.close();
    const again = await start();
    enrolment.next = null;
    await live(60_000);
    expect(again.current).not.toBeNull();
    expect(enrolment.keys.size).toBe(1);
    // Said once, not at each try.
    expect(lines.filter((line) => line.includes('"level":"error"')).length).toBe(2);
  });

  test('refused for good is asked for rarely', async () => {
    enrolment.next = { kind: 'refused', code: 'token-expired', message: 'the join token expired', retry: false };
    const keeper = await start();
    await live(hourMs);
    expect(keeper.status.problem).toBe('token-expired: the join token expired');
    expect(enrolment.asked.length).toBeLessThan(15);
  });

  test('without token and without disk: said, and nobody is asked', async () => {
    const keeper = await start({ token: null });
    expect(keeper.status.problem).toContain('no join token');
    expect(enrolment.asked).toEqual([]);
  });

  test.each<[string, (enrolment: MemoryEnrolment) => void, string]>([
    ['of another root than the token names', (it) => { it.change = (issued) => (issued.kind === 'issued' ? { ...issued, roots: [new MemoryEnrolment(time.clock).root.raw] } : issued); }, 'leads to none of the 1 roots'],
    ['of another trust domain', (it) => { it.change = (issued) => (issued.kind === 'issued' ? { ...issued, trustDomain: 'other.example' } : issued); }, 'of the trust domain shop.example'],
    ['cut off', (it) => { it.change = (issued) => (issued.kind === 'issued' ? { ...issued, chain: [Buffer.from('x')] } : issued); }, 'cannot be read'],
  ])('%s is not taken', async (_name, change, problem) => {
    change(enrolment);
    const keeper = await start();
    expect(keeper.current).toBeNull();
    expect(keeper.status.problem).toContain(problem);
    expect(disk.stored.held).toBeNull();
  });
});

describe('renewal', () => {
  test('at half the life or a little before, for days; each told; never without a good one', async () => {
    const keeper = await start();
    const told: number[] = [];
    keeper.onChange(({ endsMs }) => told.push(endsMs));
    for (let hour = 0; hour < 24 * 6; hour++) {
      await live(hourMs);
      const remains = (keeper.current?.endsMs ?? 0) - time.clock.wallMs();
      expect(remains).toBeGreaterThanOrEqual(35.9 * hourMs);
    }
    expect(told.length).toBeGreaterThanOrEqual(4);
    expect(told.length).toBeLessThanOrEqual(5);
    expect(enrolment.asked.filter((each) => each === 'join').length).toBe(1);
  });

  test('a control plane that is away for a day costs nothing', async () => {
    const keeper = await start();
    await live(30 * hourMs);
    enrolment.next = { kind: 'unreachable', cause: 'gone' };
    time.clock.stepWall(22 * hourMs);
    await live(hourMs);
    expect(keeper.current).not.toBeNull();
    enrolment.next = null;
    await live(2 * 60_000);
    expect((keeper.current?.endsMs ?? 0) - time.clock.wallMs()).toBeGreaterThan(71 * hourMs);
  });

  test('a machine that slept past the end renews as always, and does not join', async () => {
    const keeper = await start();
    time.clock.stepWall(20 * dayMs);
    expect(keeper.current).toBeNull();
    await live(60_000);
    expect(keeper.current).not.toBeNull();
    expect(enrolment.asked).toEqual(['join', 'renew']);
  });

  test('past the time for recovery it joins anew where it has a token, and says so where it has none', async () => {
    const first = await start();
    first.close();
    time.clock.stepWall(40 * dayMs);
    const without = await start({ token: null });
    expect(without.status.problem).toContain('ended too long ago to be renewed');
    without.close();
    const keeper = await start();
    expect(keeper.current).not.toBeNull();
    expect(enrolment.asked).toEqual(['join', 'join']);
  });

  test('an hour back and an hour forth of the wall clock change nothing', async () => {
    const keeper = await start();
    for (const step of [-hourMs, hourMs, hourMs, -hourMs]) {
      time.clock.stepWall(step);
      await live(5 * 60_000);
      expect(keeper.current).not.toBeNull();
    }
    expect(enrolment.asked).toEqual(['join']);
  });
});

describe('a clock that steps by an hour', () => {
  test.each([[-hourMs, 'back'], [hourMs, 'forth']])('%i ms: what is held stays, and is renewed in time', async (step) => {
    const keeper = await start();
    await live(20 * hourMs);
    time.clock.stepWall(step);
    await live(2 * 60_000);
    expect(keeper.current).not.toBeNull();
    expect(enrolment.asked).toEqual(['join']);
    await live(20 * hourMs);
    expect(enrolment.asked.filter((each) => each === 'renew').length).toBeGreaterThanOrEqual(1);
    expect((keeper.current?.endsMs ?? 0) - time.clock.wallMs()).toBeGreaterThan(34 * hourMs);
  });

  test('back, before the first certificate comes: it is taken, for others believe it', async () => {
    const ahead = new MemoryEnrolment({ wallMs: () => time.clock.wallMs() + hourMs, monotonicMs: () => time.clock.monotonicMs() });
    const keeper = await start({ enrolment: ahead, token: ahead.token });
    expect(keeper.current).not.toBeNull();
    time.clock.stepWall(hourMs);
    await live(2 * 60_000);
    expect(ahead.asked).toEqual(['join']);
  });

  test('back, before a restart: the identity on the disk serves, and nobody is asked', async () => {
    (await start()).close();
    time.clock.stepWall(-hourMs);
    const keeper = await start({ token: null });
    expect(keeper.current).not.toBeNull();
    time.clock.stepWall(hourMs);
    await live(2 * 60_000);
    expect(enrolment.asked).toEqual(['join']);
    expect(keeper.status.problem).toBe('');
  });
});

describe('the disk', () => {
  test('is enough after a restart', async () => {
    (await start()).close();
    const keeper = await start({ token: null });
    expect(keeper.current).not.toBeNull();
    expect(enrolment.asked).toEqual(['join']);
  });

  test.each<[string, Partial<IdentityKeeperDeps>, string]>([
    ['of another service', { subject: { kind: 'service', name: 'payments' } }, 'this sidecar runs for service/payments'],
    ['of another instance', { nodeId: 'orders-2' }, 'it is for the instance orders-1'],
  ])('%s is not taken', async (_name, more, problem) => {
    (await start()).close();
    await start(more);
    expect(lines.join('')).toContain(problem);
    expect(enrolment.asked).toEqual(['join', 'join']);
  });

  test('with a token of another authority: joins there, where the one before was lost', async () => {
    (await start()).close();
    const next = new MemoryEnrolment(time.clock);
    const keeper = await start({ enrolment: next, token: next.token });
    expect(keeper.current?.roots[0]?.fingerprint256).toBe(next.root.fingerprint256);
    expect(next.asked).toEqual(['join']);
  });

  test.each<[string, MemoryEnrolment['next']]>([
    ['is over', { kind: 'refused', code: 'token-expired', message: 'x', retry: false }],
    ['is of nobody who is there', { kind: 'unreachable', cause: 'x' }],
  ])('with a token of another authority, which %s: goes on with what it has, and renews it', async (_name, outcome) => {
    (await start()).close();
    const { token } = new MemoryEnrolment(time.clock);
    enrolment.next = outcome;
    const keeper = await start({ token });
    expect(keeper.current?.roots[0]?.fingerprint256).toBe(enrolment.root.fingerprint256);
    await live(hourMs);
    const joins = enrolment.asked.filter((each) => each === 'join').length;
    expect(joins).toBeLessThanOrEqual(11);
    enrolment.next = null;
    await live(40 * hourMs);
    expect(enrolment.asked.filter((each) => each === 'join').length).toBe(joins);
    expect(enrolment.asked.at(-1)).toBe('renew');
    expect(keeper.status.problem).toBe('');
  });

  test('that does not take it is told, and stands in nobody\'s way', async () => {
    disk.broken = true;
    const keeper = await start();
    expect(keeper.current).not.toBeNull();
    expect(keeper.status.persisted).toBe(false);
  });

  test('nothing secret is logged', async () => {
    disk.broken = true;
    const keeper = await start();
    enrolment.next = { kind: 'unreachable', cause: 'x' };
    time.clock.stepWall(3 * dayMs);
    await live(10 * 60_000);
    const key = keeper.current ?? disk.stored.held;
    expect(key).toBeNull();
    expect(lines.join('')).not.toMatch(/PLANTED|PRIVATE|"key"/);
  });
});

describe('the file', () => {
  let folder: string;
  beforeEach(() => {
    folder = path.join(mkdtempSync(path.join(tmpdir(), 'remora-identity-')), 'data');
  });
  afterEach(() => rmSync(path.dirname(folder), { recursive: true }));

  test('comes back as it was, is its owner\'s alone, and nothing else is left', async () => {
    const file = new FileIdentityDisk(folder);
    expect(await file.load()).toEqual({ stored: { held: null, joining: null }, problem: '' });
    await start({ disk: file });
    const { stored } = await file.load();
    expect(stored.held?.trustDomain).toBe('shop.example');
    expect(readdirSync(folder)).toEqual(['identity.json']);
    expect(statSync(path.join(folder, 'identity.json')).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect((await start({ disk: file, token: null })).current).not.toBeNull();
  });

  test.each(['', '{', '[]', 'null', '{"version":2,"held":null,"joining":null}', '{"version":1,"held":{"key":1},"joining":null}', '{"version":1,"held":null,"joining":7}'])('%s is damaged', async (text) => {
    const file = new FileIdentityDisk(folder);
    await file.write({ held: null, joining: null });
    writeFileSync(path.join(folder, 'identity.json'), text);
    expect(await file.load()).toEqual({ stored: { held: null, joining: null }, problem: expect.stringContaining('damaged') });
  });

  test('left half-written by a crash, and readable by others, is no trouble', async () => {
    const file = new FileIdentityDisk(folder);
    await file.write({ held: null, joining: Buffer.from('a') });
    writeFileSync(path.join(folder, 'identity.json.new'), 'half', { mode: 0o644 });
    await file.write({ held: null, joining: Buffer.from('b') });
    expect((await file.load()).stored.joining).toEqual(Buffer.from('b'));
    expect(statSync(path.join(folder, 'identity.json')).mode & 0o777).toBe(0o600);
  });
});
