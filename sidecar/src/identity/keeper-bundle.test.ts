import { seededRandom } from '@remora/core/random';
import { settle } from '@remora/testing/manual-timers';
import { ManualTimers } from '@remora/testing/manual-timers';
import { decodeTrustBundle, rootDigest } from '@remora/identity/trust-bundle-facts';
import { decodeWorkload } from '@remora/identity/workload-facts';
import { encodeTrustBundle } from '@remora/identity/trust-bundle-facts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLog } from '../telemetry/log.ts';
import { RecordingDataPlane } from '../threads/recording-data-plane.ts';
import { identityItemChecks } from './identity-item-checks.ts';
import { IdentityKeeper } from './identity-keeper.ts';
import { MemoryEnrolment, MemoryIdentityDisk } from './testdata/memory-enrolment.ts';
import { WorkloadFeed } from './workload-feed.ts';

const hourMs = 3_600_000;
const minuteMs = 60_000;

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

function log(): ReturnType<typeof createLog> {
  return createLog({ level: 'debug', clock: time.clock, write: (line) => lines.push(line) });
}

async function start(seed = 3): Promise<IdentityKeeper> {
  const keeper = new IdentityKeeper({ subject: { kind: 'service', name: 'orders' }, nodeId: 'orders-1', token: enrolment.token, disk, enrolment, clock: time.clock, timers: time, random: seededRandom(seed), log: log() });
  open.push(keeper);
  await keeper.start();
  return keeper;
}

function issuer(keeper: IdentityKeeper): string {
  return keeper.status.issuerRoot;
}

describe('the bundle of the control plane', () => {
  test('with one more root is taken, kept, and told; the certificate stays', async () => {
    const keeper = await start();
    const told: number[] = [];
    keeper.onTrust(({ roots }) => told.push(roots.length));
    const old = rootDigest(enrolment.root.raw);
    enrolment.roll();
    expect(keeper.useBundle(enrolment.bundle({ signs: old }), 'stream')).toBeNull();
    expect(keeper.useBundle(enrolment.bundle({ signs: old }), 'stream')).toBeNull();
    expect(told).toEqual([2]);
    await settle();
    expect(disk.stored.held?.roots).toHaveLength(2);
    await time.advance(hourMs);
    expect(enrolment.asked).toEqual(['join']);
    keeper.close();
    expect((await start()).current?.roots).toHaveLength(2);
  });

  test('that says another root signs: the certificate is renewed within the time given, at different moments by different sidecars', async () => {
    const at: number[] = [];
    for (let seed = 1; seed <= 8; seed++) {
      disk = new MemoryIdentityDisk();
      const keeper = await start(seed);
      const before = time.clock.wallMs();
      keeper.onChange(() => at.push(time.clock.wallMs() - before));
      enrolment.roll();
      keeper.useBundle(enrolment.bundle(), 'stream');
      // Said again at each new stream: the moment is drawn once.
      for (let minute = 0; minute < 11; minute++) {
        keeper.useBundle(enrolment.bundle(), 'stream');
        await time.advance(minuteMs);
      }
      expect(issuer(keeper)).toBe(rootDigest(enrolment.root.raw));
      keeper.close();
    }
    expect(at).toHaveLength(8);
    expect(Math.max(...at)).toBeLessThanOrEqual(11 * minuteMs);
    expect(new Set(at.map((ms) => Math.floor(ms / minuteMs))).size).toBeGreaterThan(3);
  });

  test('without the root of our certificate: renewed at once, and a restart before that does not lose the identity', async () => {
    const keeper = await start();
    enrolment.roll();
    enrolment.roots = [enrolment.root];
    enrolment.next = { kind: 'unreachable', cause: 'gone' };
    keeper.useBundle(enrolment.bundle(), 'stream');
    await time.advance(20_000);
    expect(enrolment.asked).toContain('renew');
    keeper.close();
    const again = await start();
    expect(again.current?.roots).toHaveLength(1);
    enrolment.next = null;
    again.useBundle(enrolment.bundle(), 'disk');
    await time.advance(20_000);
    expect(issuer(again)).toBe(rootDigest(enrolment.root.raw));
    expect(disk.stored.held?.ownRoot).toBeUndefined();
    expect(enrolment.asked.filter((each) => each === 'join')).toHaveLength(1);
  });

  test('that comes while a renewal under the old root is on its way: renewed once more', async () => {
    const keeper = await start();
    const old = rootDigest(enrolment.root.raw);
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => { release = resolve; });
    const renew = enrolment.renew.bind(enrolment);
    enrolment.renew = async (question) => {
      const answer = await renew(question);
      await held;
      return answer;
    };
    await time.advance(36 * hourMs);
    expect(enrolment.asked).toEqual(['join', 'renew']);
    enrolment.roll();
    keeper.useBundle(enrolment.bundle(), 'stream');
    release();
    await time.advance(1_000);
    expect(issuer(keeper)).toBe(old);
    expect(keeper.current?.roots).toHaveLength(2);
    await time.advance(12 * minuteMs);
    expect(issuer(keeper)).toBe(rootDigest(enrolment.root.raw));
  });

  test('from the disk without the root of our certificate is older than the certificate: not taken', async () => {
    const keeper = await start();
    const other = new MemoryEnrolment(time.clock);
    expect(keeper.useBundle(other.bundle(), 'disk')).toBeNull();
    expect(keeper.current?.roots[0]?.fingerprint256).toBe(enrolment.root.fingerprint256);
    await time.advance(hourMs);
    expect(enrolment.asked).toEqual(['join']);
  });

  test.each<[string, (it: MemoryEnrolment) => Parameters<IdentityKeeper['useBundle']>[0], string]>([
    ['of another trust domain', (it) => it.bundle({ trustDomain: 'other.example' }), 'of the trust domain other.example'],
    ['with a root that cannot be read', (it) => it.bundle({ roots: [it.root.raw, Buffer.from('x')] }), 'root 2 of the bundle cannot be read'],
    ['with a certificate that is no authority', (it) => it.bundle({ roots: [it.root.raw, disk.stored.held?.chain[0] ?? Buffer.alloc(0)] }), 'root 2 of the bundle is no root'],
    ['with nothing in it', (it) => it.bundle({ roots: [] }), 'has no roots'],
  ])('%s is refused, and the roots from before stay', async (_name, make, problem) => {
    const keeper = await start();
    expect(keeper.useBundle(make(enrolment), 'stream')).toContain(problem);
    expect(keeper.current?.roots).toHaveLength(1);
  });

  test('whose roots have all ended is refused', async () => {
    const keeper = await start();
    time.clock.stepWall(11 * 365 * 24 * hourMs);
    expect(keeper.useBundle(enrolment.bundle(), 'stream')).toContain('no root of the bundle is good at this moment');
  });
});

describe('what data threads get', () => {
  test('the own key and chain with each certificate, and the roots that came with it until the control plane names them', async () => {
    const keeper = await start();
    const dataPlane = new RecordingDataPlane();
    const feed = new WorkloadFeed({ keeper, dataPlane, log: log() });
    await feed.start();
    const own = (): ReturnType<typeof decodeWorkload> => decodeWorkload(dataPlane.facts.of('identity').get('own') ?? new Uint8Array());
    const bundle = (): ReturnType<typeof decodeTrustBundle> => decodeTrustBundle(dataPlane.facts.of('trustBundle').get('shop.example') ?? new Uint8Array());
    expect(own()).toMatchObject({ spiffeId: 'spiffe://shop.example/service/orders', trustDomain: 'shop.example' });
    expect(Buffer.from(own()?.chain[0] ?? [])).toEqual(keeper.current?.chain[0]?.raw);
    expect(bundle()).toMatchObject({ sequence: 0 });
    let say: (items: ReadonlyMap<string, Uint8Array>) => void = () => {};
    feed.follow({ onItem: (_kind, listener) => {
      say = listener;
      return () => {};
    } });
    const version = dataPlane.facts.of('trustBundle').version;
    enrolment.roll();
    say(new Map([['shop.example', encodeTrustBundle(enrolment.bundle())]]));
    await time.advance(11 * minuteMs);
    await settle();
    expect(issuer(keeper)).toBe(rootDigest(enrolment.root.raw));
    expect(Buffer.from(own()?.chain[0] ?? [])).toEqual(keeper.current?.chain[0]?.raw);
    expect(dataPlane.facts.of('trustBundle').version).toBe(version);
    feed.close();
    expect(lines.join('')).not.toMatch(/PRIVATE|"key"/);
  });

  test('a bundle on the disk of an authority that is not ours any more is used by nobody', async () => {
    const keeper = await start();
    const dataPlane = new RecordingDataPlane();
    const feed = new WorkloadFeed({ keeper, dataPlane, log: log() });
    await feed.start();
    const stale = encodeTrustBundle(new MemoryEnrolment(time.clock).bundle());
    await dataPlane.useFacts({ kind: 'trustBundle', full: true, facts: new Map([['shop.example', stale]]) });
    feed.follow({ onItem: (_kind, listener) => {
      listener(new Map([['shop.example', stale]]));
      return () => {};
    } });
    await settle();
    const used = decodeTrustBundle(dataPlane.facts.of('trustBundle').get('shop.example') ?? new Uint8Array());
    expect(used?.roots.map((root) => rootDigest(root))).toEqual([rootDigest(enrolment.root.raw)]);
    feed.close();
  });

  test('bundles and revocations that cannot be read are refused where they come in', () => {
    expect(identityItemChecks.get('trustBundle')?.('shop.example', Buffer.from('{}'))).toContain('no trust bundle');
    expect(identityItemChecks.get('trustBundle')?.('shop.example', encodeTrustBundle(enrolment.bundle()))).toBeNull();
    expect(identityItemChecks.get('trustBundle')?.('other.example', encodeTrustBundle(enrolment.bundle()))).toContain('no trust bundle');
    expect(identityItemChecks.get('revocations')?.('shop.example', Buffer.from('x'))).toContain('no list');
  });
});
