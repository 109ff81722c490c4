import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { DeepPartial, ListenerTls } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { decodeSnapshot } from '@remora/snapshot/decode';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { ManualTimers } from '@remora/testing/manual-timers';
import { TestAuthority } from '@remora/testing/test-authority';
import { runtimeKinds } from '../kinds.ts';
import { createLog } from '../telemetry/log.ts';
import { CertificateFiles } from './certificate-files.ts';
import { readSmallFile } from './read-small-file.ts';
import type { TlsMaterial } from './tls-material.ts';

const authority = new TestAuthority();
const shop = authority.issue({ dns: ['shop.test'] });
const again = authority.issue({ dns: ['shop.test', 'www.shop.test'] });
const day = 86_400_000;

/** Files in memory, and what the data threads got. */
class Host {
  readonly files = new Map<string, string>([['/shop.crt', shop.cert], ['/shop.key', shop.key], ['/ca.pem', authority.cert]]);
  readonly timers = new ManualTimers();
  readonly handed: TlsMaterial[] = [];
  readonly lines: string[] = [];
  readonly certificates: CertificateFiles;

  constructor() {
    this.timers.clock.stepWall(Date.now() - this.timers.clock.wallMs());
    this.certificates = new CertificateFiles({
      useTlsMaterial: (material) => {
        this.handed.push(material);
        return Promise.resolve();
      },
      clock: this.timers.clock,
      timers: this.timers,
      log: createLog({ level: 'info', clock: this.timers.clock, write: (line) => this.lines.push(line) }),
      readFile: (name) => {
        const text = this.files.get(name);
        return text === undefined ? Promise.reject(new Error(`${name} cannot be read: there is no such file`)) : Promise.resolve(text);
      },
    });
  }

  /** Reads and enforces, as the way of a snapshot is; answers the errors. */
  async apply(snapshot: Snapshot): Promise<readonly string[]> {
    const errors = await this.certificates.reach(snapshot);
    if (errors === null) await this.certificates.follow(snapshot);
    return (errors ?? []).map(({ resource, pointer, code, message }) => `${resource} ${pointer} ${code}: ${message}`);
  }

  get files0(): ReadonlyMap<string, string> | undefined {
    return this.handed.at(-1)?.files;
  }

  get problems(): readonly (string | null)[] {
    return this.certificates.status.map(({ problem }) => problem);
  }

  /** As long as the timer takes to look. */
  look(): Promise<void> {
    return this.timers.advance(5_000).then(() => this.certificates.refresh());
  }
}

function snapshotWith(tls: DeepPartial<ListenerTls> = {}): Snapshot {
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' });
  builder.listener({ name: 'secure', protocol: 'https', tls: { certificates: [{ certFile: '/shop.crt', keyFile: '/shop.key' }], ...tls } });
  const decoded = decodeSnapshot(builder.build(), runtimeKinds);
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.errors));
  return decoded.snapshot;
}

function upstreamSnapshot(): Snapshot {
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' });
  builder.destination({ service: 'app', ports: [{ name: 'api', port: 1, protocol: 'http', tls: { caFiles: ['/ca.pem', '/other.pem'], clientCertificate: { certFile: '/c.crt', keyFile: '/shop.key' } } }] });
  const decoded = decodeSnapshot(builder.build(), runtimeKinds);
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.errors));
  return decoded.snapshot;
}

describe('the first reading', () => {
  it('hands the files to the data threads before the snapshot is enforced', async () => {
    const host = new Host();
    expect(await host.certificates.reach(snapshotWith({ clientCaFiles: ['/ca.pem'] }))).toBeNull();
    expect([...(host.files0?.keys() ?? [])].sort()).toEqual(['/ca.pem', '/shop.crt', '/shop.key']);
    expect(host.handed[0]?.ticketSecret).toHaveLength(32);
  });

  it('a snapshot without TLS costs nothing', async () => {
    const host = new Host();
    expect(await host.apply(snapshotWith({ certificates: [] }))).toEqual([]);
    expect([host.handed.length, host.timers.size]).toEqual([0, 0]);
  });

  const expired = authority.issue({ dns: ['shop.test'], validTo: new Date(Date.now() - day) });
  const broken = shop.cert.replace(/[A-Za-z0-9+/]{64}/, 'A'.repeat(64));
  it.each<[string, Record<string, string | undefined>, string]>([
    ['a missing certificate', { '/shop.crt': undefined }, '/listeners/secure/tls/certificates/0/certFile unreadable-file: /shop.crt cannot be read: there is no such file'],
    ['a missing key', { '/shop.key': undefined }, '/listeners/secure/tls/certificates/0/keyFile unreadable-file: /shop.key cannot be read: there is no such file'],
    ['no certificate', { '/shop.crt': 'hello' }, '/listeners/secure/tls/certificates/0/certFile invalid-certificate: /shop.crt holds no certificate in PEM'],
    ['a broken certificate', { '/shop.crt': broken }, '/listeners/secure/tls/certificates/0/certFile invalid-certificate: /shop.crt holds no certificate in PEM'],
    ['a certificate as key', { '/shop.key': shop.cert }, '/listeners/secure/tls/certificates/0/keyFile invalid-key: /shop.key holds no private key in PEM'],
    ['an encrypted key', { '/shop.key': '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n' }, '/listeners/secure/tls/certificates/0/keyFile invalid-key: /shop.key is encrypted; a key without a passphrase is needed, readable by the sidecar alone'],
    ['another key', { '/shop.key': again.key }, '/listeners/secure/tls/certificates/0/keyFile key-mismatch: /shop.key is not the key of the certificate'],
    ['an expired certificate', { '/shop.crt': expired.cert, '/shop.key': expired.key }, '/listeners/secure/tls/certificates/0/certFile certificate-expired: the certificate has expired at'],
    ['no authorities', { '/ca.pem': '' }, '/listeners/secure/tls/clientCaFiles/0 invalid-certificate: /ca.pem holds no certificates in PEM'],
  ])('%s refuses the snapshot, naming the field', async (_name, files, problem) => {
    const host = new Host();
    for (const [name, text] of Object.entries(files)) if (text === undefined) host.files.delete(name); else host.files.set(name, text);
    const errors = await host.apply(snapshotWith({ clientCaFiles: ['/ca.pem'] }));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(`listener secure ${problem}`);
    expect(host.handed).toEqual([]);
  });

  it('all that is wrong is told at once, of upstreams too', async () => {
    const host = new Host();
    expect(await host.apply(upstreamSnapshot())).toEqual([
      'destination app /ports/api/tls/clientCertificate/certFile unreadable-file: /c.crt cannot be read: there is no such file',
      'destination app /ports/api/tls/caFiles/1 unreadable-file: /other.pem cannot be read: there is no such file',
    ]);
  });

  it('what was on disk is enforced without its files, and they are read when they come', async () => {
    const host = new Host();
    host.files.delete('/shop.key');
    await host.certificates.follow(snapshotWith());
    expect([host.files0?.size, host.problems]).toEqual([0, ['/shop.key cannot be read: there is no such file']]);
    expect(host.lines.join('')).toContain('TLS cannot use a file');
    host.files.set('/shop.key', shop.key);
    await host.look();
    expect([host.files0?.get('/shop.key'), host.problems]).toEqual([shop.key, [null]]);
  });
});

describe('later', () => {
  it('a renewed pair is handed over; what did not change is not', async () => {
    const host = new Host();
    await host.apply(snapshotWith());
    const before = host.handed.length;
    await host.look();
    expect(host.handed).toHaveLength(before);
    host.files.set('/shop.crt', again.cert).set('/shop.key', again.key);
    await host.look();
    expect(host.files0?.get('/shop.crt')).toBe(again.cert);
    expect(host.certificates.status[0]).toMatchObject({ problem: null, facts: { names: ['shop.test', 'www.shop.test'] } });
  });

  it('the timer looks by itself', async () => {
    const host = new Host();
    await host.apply(snapshotWith());
    host.files.set('/shop.crt', again.cert).set('/shop.key', again.key);
    await host.timers.advance(5_000);
    await host.certificates.rotateTickets();
    expect(host.files0?.get('/shop.crt')).toBe(again.cert);
  });

  const expired = authority.issue({ dns: ['shop.test'], validTo: new Date(Date.now() - day) });
  it.each<[string, Record<string, string | undefined>, string]>([
    ['half of a renewed pair', { '/shop.crt': again.cert }, 'is not the key of the certificate'],
    ['a pair that is gone', { '/shop.crt': undefined }, 'there is no such file'],
    ['nonsense', { '/shop.key': 'x' }, 'holds no private key'],
    ['a pair that has expired', { '/shop.crt': expired.cert, '/shop.key': expired.key }, 'has expired'],
  ])('%s keeps the old one in use, said once, until it can be used', async (_name, files, problem) => {
    const host = new Host();
    await host.apply(snapshotWith());
    for (const [name, text] of Object.entries(files)) if (text === undefined) host.files.delete(name); else host.files.set(name, text);
    await host.look();
    await host.look();
    expect(host.files0?.get('/shop.crt')).toBe(shop.cert);
    expect(host.problems[0]).toContain(problem);
    expect(host.lines.filter((line) => line.includes('stays in use'))).toHaveLength(1);
    host.files.set('/shop.crt', again.cert).set('/shop.key', again.key);
    await host.look();
    expect([host.files0?.get('/shop.crt'), host.problems]).toEqual([again.cert, [null]]);
  });

  it('a certificate that expires in use is said, and stays', async () => {
    const host = new Host();
    const short = authority.issue({ dns: ['shop.test'], validTo: new Date(Date.now() + 60_000) });
    host.files.set('/shop.crt', short.cert).set('/shop.key', short.key);
    expect(await host.apply(snapshotWith())).toEqual([]);
    host.timers.clock.stepWall(120_000);
    expect(host.problems[0]).toContain('has expired');
    await host.look();
    expect(host.lines.filter((line) => line.includes('a certificate in use has expired'))).toHaveLength(1);
    expect(host.files0?.get('/shop.crt')).toBe(short.cert);
  });

  it('what only an earlier snapshot named is forgotten; a refused one changes nothing', async () => {
    const host = new Host();
    await host.apply(snapshotWith({ clientCaFiles: ['/ca.pem'] }));
    await host.apply(snapshotWith({ clientCaFiles: ['/missing.pem'] }));
    expect(host.files0?.has('/ca.pem')).toBe(true);
    await host.apply(snapshotWith());
    expect(host.files0?.has('/ca.pem')).toBe(false);
  });

  it('the secret of the tickets changes every 12 hours', async () => {
    const host = new Host();
    await host.apply(snapshotWith());
    const before = Buffer.from(host.handed.at(-1)?.ticketSecret ?? []);
    await host.timers.advance(12 * 60 * 60 * 1_000);
    await host.certificates.refresh();
    expect(before.equals(Buffer.from(host.handed.at(-1)?.ticketSecret ?? []))).toBe(false);
  });

  it('neither log nor status shows anything of a key', async () => {
    const host = new Host();
    await host.apply(snapshotWith());
    host.files.set('/shop.key', again.key.replace('MIG', 'MIX'));
    await host.look();
    const secret = new RegExp([...shop.key.split('\n'), ...again.key.split('\n')].filter((line) => line.length > 20 && !line.startsWith('-')).map((line) => line.slice(4, 24).replaceAll(/[+/]/g, '.')).join('|'));
    expect(host.lines.join('') + JSON.stringify(host.certificates.status)).not.toMatch(secret);
    host.certificates.close();
    expect(host.timers.size).toBe(0);
  });
});

describe('reading a file', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'remora-tls-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is bounded, and says in words what is wrong', async () => {
    writeFileSync(path.join(folder, 'good'), 'text');
    writeFileSync(path.join(folder, 'large'), Buffer.alloc(1024 * 1024 + 1));
    expect(await readSmallFile(path.join(folder, 'good'))).toBe('text');
    await expect(readSmallFile(path.join(folder, 'none'))).rejects.toThrow('there is no such file');
    await expect(readSmallFile(path.join(folder, 'large'))).rejects.toThrow('more than 1 MiB');
    await expect(readSmallFile(folder)).rejects.toThrow('is not a file');
    await expect(readSmallFile('/dev/zero')).rejects.toThrow('is not a file');
  });
});

it('a certificate from a Secret needs no file: it comes later than the snapshot, changes without one, and stays when it goes', async () => {
  const host = new Host();
  const secret = (pair: { cert: string; key: string }): ReadonlyMap<string, Uint8Array> => new Map([['api-cert', Buffer.from(`${pair.cert}\n${pair.key}`)]]);
  const settled = (): Promise<unknown> => host.certificates.rotateTickets();
  expect(await host.apply(snapshotWith({ certificates: [{ secret: 'api-cert' }] }))).toEqual([]);
  expect(host.problems).toEqual(['Secret api-cert is not here: it was never set, or has not come yet']);
  host.certificates.useSecrets(secret(shop));
  await settled();
  expect(host.problems).toEqual([null]);
  expect(host.files0?.get('secret:api-cert')).toContain(shop.cert);
  host.certificates.useSecrets(new Map([['api-cert', Buffer.from('no PEM')]]));
  await settled();
  expect(host.problems).toEqual([expect.stringContaining('holds no certificate')]);
  expect(host.files0?.get('secret:api-cert')).toContain(shop.cert);
  host.certificates.useSecrets(new Map());
  await settled();
  expect(host.files0?.get('secret:api-cert')).toContain(shop.cert);
  expect(host.lines.join('')).not.toContain('PRIVATE KEY');
});
