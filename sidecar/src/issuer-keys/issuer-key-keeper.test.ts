import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { seededRandom } from '@remora/core/random';
import { jwtAuthoring } from '@remora/policy-jwt/compile';
import { jwtWire } from '@remora/policy-jwt/wire';
import { FactBooks } from '@remora/policy-kit/facts';
import { IssuerKeys, keySourceName } from '@remora/policy-kit/tokens/issuer-keys';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { effectiveSection } from '@remora/testing/effective-section';
import { ManualTimers } from '@remora/testing/manual-timers';
import { TestIssuer } from '@remora/testing/test-issuer';
import { afterEach, describe, expect, test } from 'vitest';
import { createLog } from '../telemetry/log.ts';
import { FileIssuerKeyDisk } from './file-issuer-key-disk.ts';
import type { StoredKeys } from './issuer-key-disk.ts';
import { IssuerKeyKeeper } from './issuer-key-keeper.ts';
import { ScriptedHelperClient } from './testdata/scripted-helper-client.ts';

const shop = new TestIssuer('https://login.example/realms/shop');
const discovery = 'https://login.example/realms/shop/.well-known/openid-configuration';
const keysAt = 'https://login.example/keys';
const source = keySourceName({ issuer: shop.issuer, uri: '', allowPrivateAddresses: false });
const partnerKeys = 'https://partner.example/keys';
const partner = keySourceName({ issuer: 'partner', uri: partnerKeys, allowPrivateAddresses: false });
const day = 86_400_000;

interface Rig {
  readonly keeper: IssuerKeyKeeper;
  readonly client: ScriptedHelperClient;
  readonly timers: ManualTimers;
  readonly facts: FactBooks;
  readonly events: string[];
  readonly lines: string[];
  written: readonly StoredKeys[];
}

function rig(stored: readonly StoredKeys[] = [], timers = new ManualTimers()): Rig {
  const client = new ScriptedHelperClient();
  const facts = new FactBooks();
  const made: Rig = {
    client, timers, facts, events: [], lines: [], written: [],
    keeper: new IssuerKeyKeeper({
      useFacts: (update) => Promise.resolve(facts.apply(update)), client, clock: timers.clock, timers, random: seededRandom(3),
      disk: { load: () => Promise.resolve({ keys: stored, problem: '' }), write: (keys) => Promise.resolve(void (made.written = keys)) },
      log: createLog({ level: 'debug', clock: timers.clock, write: (line) => made.lines.push(line) }), onEvent: (kind) => made.events.push(kind),
    }),
  };
  client.json(discovery, { issuer: shop.issuer, jwks_uri: keysAt });
  client.json(keysAt, shop.jwks(shop.key('ES256', 'a')));
  return made;
}

/** A snapshot with these issuers. */
function snapshot(...issuers: readonly { readonly name: string; readonly issuer: string; readonly jwksUri?: string; readonly keysMaximumAge?: string }[]): Snapshot {
  const section = { issuers: Object.fromEntries(issuers.map(({ name, ...issuer }) => [name, { ...issuer, audiences: ['orders'] }])) };
  const settings = jwtWire.decode(jwtAuthoring.compile(effectiveSection(jwtAuthoring, section)).body);
  return { settings: new Map(issuers.length === 0 ? [] : [['1', { hash: '1', sections: [{ kind: 'jwt', settings }] }]]) } as unknown as Snapshot;
}

const one = snapshot({ name: 'shop', issuer: shop.issuer });

function keyNames({ facts }: Rig, name = source): (string | null)[] | null {
  return IssuerKeys.over(facts.of('jwks')).of(name)?.keys.map(({ keyId }) => keyId) ?? null;
}

async function settled(of: Rig): Promise<void> {
  await of.timers.advance(0);
}

describe('keys of an issuer', () => {
  test('come by discovery, and are there before the swap', async () => {
    const at = rig();
    await at.keeper.reach(one);
    expect(at.client.take()).toEqual([discovery, keysAt]);
    expect(keyNames(at)).toEqual(['a']);
    await at.keeper.follow(one);
    expect(at.client.take()).toEqual([]);
    expect(at.keeper.warming).toEqual([]);
    expect(at.keeper.keyAgeSeconds.get(shop.issuer)).toBe(0);
    expect(at.events).toEqual(['issuer-keys-changed']);
  });

  test('an issuer that hangs holds a swap up for a second, and is said to be warming', async () => {
    const at = rig();
    at.client.answers.set(discovery, new Promise(() => {}));
    const reached = at.keeper.reach(one);
    await at.timers.advance(1_000);
    expect(await reached).toBeNull();
    expect(at.keeper.warming).toEqual([`keys of ${shop.issuer}`]);
    expect(keyNames(at)).toBeNull();
  });

  test.each([
    ['max-age=120', 120_000], ['public, max-age=5', 60_000], ['max-age=99999999', 3_600_000], ['no-store, max-age=600', 60_000], ['', 300_000], ['max-age=nonsense', 300_000],
  ])('are fetched again after %j, spread, within bounds', async (control, freshMs) => {
    const at = rig();
    at.client.json(keysAt, shop.jwks(shop.key('ES256', 'a')), { 'cache-control': control });
    await at.keeper.follow(one);
    await settled(at);
    at.client.take();
    await at.timers.advance(freshMs * 0.8 - 1);
    expect(at.client.take()).toEqual([]);
    await at.timers.advance(freshMs * 0.2 + 1);
    expect(at.client.take()).toEqual([discovery, keysAt]);
  });

  test('are asked for at once when a token names an unknown one, and not again for ten seconds', async () => {
    const at = rig();
    await at.keeper.follow(one);
    await at.timers.advance(10_001);
    at.client.json(keysAt, shop.jwks(shop.key('ES256', 'a'), shop.key('ES256', 'b')));
    at.client.take();
    expect(await Promise.all([at.keeper.refetch(source), at.keeper.refetch(source)])).toEqual([true, true]);
    expect(keyNames(at)).toEqual(['a', 'b']);
    expect(at.client.take()).toEqual([discovery, keysAt]);
    expect(await at.keeper.refetch(source)).toBe(false);
    expect(await at.keeper.refetch('unknown')).toBe(false);
    expect(at.client.take()).toEqual([]);
  });

  test('stay in use while the issuer is away, until they are too old; then its own keys come back by themselves', async () => {
    const at = rig();
    const short = snapshot({ name: 'shop', issuer: shop.issuer, keysMaximumAge: '1h' });
    await at.keeper.follow(short);
    await settled(at);
    at.client.fail(keysAt, 'timeout');
    await at.timers.advance(3_599_000);
    expect(keyNames(at)).toEqual(['a']);
    expect(at.keeper.status[0]).toMatchObject({ usable: true, problem: `timeout: ${keysAt}: it is timeout` });
    await at.timers.advance(2_000);
    expect(keyNames(at)).toEqual([]);
    expect(at.events).toEqual(['issuer-keys-changed', 'issuer-unreachable', 'issuer-keys-expired']);
    at.client.json(keysAt, shop.jwks(shop.key('ES256', 'a')));
    await at.timers.advance(60_000);
    expect(keyNames(at)).toEqual(['a']);
    expect(at.keeper.status[0]).toMatchObject({ usable: true, problem: null, failures: 0 });
  });

  test('are asked for more and more rarely while it fails: no more than once a minute in the end', async () => {
    const at = rig();
    at.client.fail(discovery, 'connect');
    await at.keeper.follow(one);
    await at.timers.advance(600_000);
    const before = at.client.take().length;
    expect(before).toBeGreaterThan(10);
    expect(before).toBeLessThan(60);
    expect(at.lines.filter((line) => line.includes('"warn"'))).toHaveLength(1);
  });

  const lies: readonly [string, (at: Rig) => void][] = [
    ['empties its keys', (at) => at.client.json(keysAt, { keys: [] })],
    ['publishes what verifies nothing', (at) => at.client.json(keysAt, { keys: [{ kty: 'oct', k: 'AAAA' }, { kty: 'RSA', n: 'AQAB', e: 'AQAB' }] })],
    ['answers with a page', (at) => at.client.json(keysAt, '<html>')],
    ['names members twice', (at) => at.client.json(keysAt, '{"keys":[],"keys":[]}')],
    ['has thousands of keys', (at) => at.client.json(keysAt, { keys: Array.from({ length: 5_000 }, () => shop.key('ES256', 'a').jwk()) })],
    ['is another issuer', (at) => at.client.json(discovery, { issuer: 'https://evil.example', jwks_uri: keysAt })],
    ['names no keys', (at) => at.client.json(discovery, { issuer: shop.issuer })],
    ['answers 500', (at) => at.client.json(keysAt, { keys: [] }, {}, 500)],
    ['redirects', (at) => at.client.fail(keysAt, 'redirect')],
    ['sends 50 MB', (at) => at.client.fail(keysAt, 'too-large')],
  ];

  test.each(lies)('one that %s keeps the keys that it had', async (_what, lie) => {
    const at = rig();
    await at.keeper.follow(one);
    await settled(at);
    lie(at);
    await at.timers.advance(600_000);
    expect(keyNames(at)).toEqual(['a']);
    expect(at.keeper.status[0]?.problem).toMatch(/^[a-z-]+: ./);
  });

  test('one issuer touches no other', async () => {
    const at = rig();
    at.client.answers.set(discovery, new Promise(() => {}));
    at.client.json(partnerKeys, shop.jwks(shop.key('ES256', 'p')));
    await at.keeper.follow(snapshot({ name: 'shop', issuer: shop.issuer }, { name: 'partner', issuer: 'partner', jwksUri: partnerKeys }));
    await at.timers.advance(600_000);
    expect(keyNames(at, partner)).toEqual(['p']);
    expect(keyNames(at)).toBeNull();
  });

  test('go with the last snapshot that names them', async () => {
    const at = rig();
    await at.keeper.follow(one);
    await settled(at);
    await at.keeper.follow(snapshot());
    expect([...at.facts.of('jwks').names()]).toEqual([]);
    await at.timers.advance(day);
    expect(at.client.take()).toEqual([discovery, keysAt]);
    expect(at.written).toEqual([]);
  });
});

describe('keys on the disk', () => {
  test('serve after a restart while the issuer is away, as old as they are', async () => {
    const first = rig();
    await first.keeper.follow(one);
    await first.timers.advance(2_000);
    expect(first.written.map(({ name }) => name)).toEqual([source]);
    first.timers.clock.advance(3_600_000);

    const second = rig(first.written, new ManualTimers(first.timers.clock));
    second.client.fail(discovery, 'connect');
    await second.keeper.restore();
    await second.keeper.follow(one);
    expect(keyNames(second)).toEqual(['a']);
    expect(second.keeper.warming).toEqual([]);
    expect(second.keeper.keyAgeSeconds.get(shop.issuer)).toBeGreaterThanOrEqual(3_600);
    await second.timers.advance(day);
    expect(keyNames(second)).toEqual([]);
  });

  test('are nothing where they are too old', async () => {
    const at = rig([{ name: source, body: Buffer.from(JSON.stringify(shop.jwks(shop.key('ES256', 'old')))), fetchedAtMs: new ManualTimers().clock.wallMs() - day }]);
    at.client.fail(discovery, 'connect');
    await at.keeper.restore();
    await at.keeper.follow(one);
    expect(keyNames(at)).toBeNull();
    expect(at.keeper.warming).toHaveLength(1);
  });
});

describe('the file', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-issuer-keys-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('is read back, by its owner only, and never crashes a start', async () => {
    const disk = new FileIssuerKeyDisk(folder);
    expect(await disk.load()).toEqual({ keys: [], problem: '' });
    const keys = [{ name: source, body: Buffer.from('{"keys":[]}'), fetchedAtMs: 5 }];
    await disk.write(keys);
    expect(await disk.load()).toEqual({ keys, problem: '' });
    const file = path.join(folder, 'issuer-keys.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const text = readFileSync(file, 'utf8');
    for (let cut = 0; cut < text.length; cut++) {
      writeFileSync(file, text.slice(0, cut));
      expect(await disk.load()).toEqual({ keys: [], problem: 'issuer-keys.json is damaged, or from another version' });
    }
  });
});
