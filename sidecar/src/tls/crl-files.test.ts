import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { authenticationAuthoring } from '@remora/policy-authentication/compile';
import { clientCertificateAuthoring } from '@remora/policy-client-certificate/compile';
import type { FactUpdate } from '@remora/policy-kit/facts';
import { decodeCrls } from '@remora/policy-kit/crl-facts';
import { decodeSnapshot } from '@remora/snapshot/decode';
import type { Snapshot } from '@remora/snapshot/snapshot';
import { CandidateBuilder } from '@remora/testing/candidate-builder';
import { effectiveSection } from '@remora/testing/effective-section';
import { ManualTimers } from '@remora/testing/manual-timers';
import { makeCrl } from '@remora/testing/openssl-crl';
import { describeWith } from '@remora/testing/requirement';
import { TestAuthority } from '@remora/testing/test-authority';
import { afterAll, afterEach, expect, test } from 'vitest';
import { runtimeKinds } from '../kinds.ts';
import { createLog } from '../telemetry/log.ts';
import { CrlFiles } from './crl-files.ts';
import { TlsRig, visit } from './testdata/tls-rig.ts';

const partners = new TestAuthority('partners');
const till = partners.issue({ dns: ['till.test'] });
const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber;
const day = 86_400_000;

/** Files in memory, and what the data threads got. */
class Host {
  readonly files = new Map<string, Buffer>([['/ca.pem', Buffer.from(partners.cert)]]);
  readonly timers = new ManualTimers();
  readonly lines: string[] = [];
  readonly told: FactUpdate[] = [];
  readonly crls: CrlFiles;

  constructor(useFacts: (update: FactUpdate) => Promise<void> = () => Promise.resolve()) {
    this.timers.clock.stepWall(Date.now() - this.timers.clock.wallMs());
    this.crls = new CrlFiles({
      useFacts: (update) => {
        this.told.push(update);
        return useFacts(update);
      },
      clock: this.timers.clock,
      timers: this.timers,
      log: createLog({ level: 'info', clock: this.timers.clock, write: (line) => this.lines.push(line) }),
      readFile: (name) => {
        const bytes = this.files.get(name);
        return bytes === undefined ? Promise.reject(new Error(`${name} cannot be read: there is no such file`)) : Promise.resolve(bytes);
      },
    });
  }

  async apply(snapshot: Snapshot): Promise<readonly string[]> {
    const errors = await this.crls.reach(snapshot);
    if (errors === null) await this.crls.follow(snapshot);
    return (errors ?? []).map(({ resource, pointer, code, message }) => `${resource}${pointer} ${code}: ${message}`);
  }

  /** As long as the timer takes to look. */
  look(ms = 5_000): Promise<void> {
    return this.timers.advance(ms).then(() => this.crls.refresh());
  }

  /** Certificates on the lists of each file that the data threads have. */
  get listed(): Record<string, number> {
    return Object.fromEntries([...this.told.at(-1)?.facts ?? []].map(([file, body]) => [file, (decodeCrls(body ?? new Uint8Array()) ?? []).reduce((sum, { serials }) => sum + serials.length / 20, 0)]));
  }

  get problems(): readonly (string | null)[] {
    return this.crls.status.map(({ problem }) => problem);
  }
}

function snapshotWith(crlFiles: readonly string[], clientCaFiles: readonly string[] = ['/ca.pem']): Snapshot {
  const builder = new CandidateBuilder({ kind: 'gateway', name: 'edge' });
  const { minFormat, body } = clientCertificateAuthoring.compile(effectiveSection(clientCertificateAuthoring, crlFiles.length === 0 ? {} : { crlFiles: [...crlFiles] }));
  const settings = builder.settings({ kind: 'clientCertificate', minFormat, body: Buffer.from(body) });
  builder.listener({ name: 'secure', protocol: 'https', settings, tls: { certificates: [{ certFile: '/a', keyFile: '/b' }], clientCaFiles: [...clientCaFiles] } });
  const decoded = decodeSnapshot(builder.build(), runtimeKinds);
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.errors));
  return decoded.snapshot;
}

describeWith('openssl', 'files of revoked certificates', (openssl) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'crls-'));
  let rig: TlsRig | null = null;
  afterEach(async () => {
    await rig?.close();
    rig = null;
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const crl = (by: TestAuthority, serials: readonly string[], options?: readonly string[]): Buffer => makeCrl(openssl, folder, by, serials, options);
  const pem = (der: Buffer): string => `-----BEGIN X509 CRL-----\n${der.toString('base64')}\n-----END X509 CRL-----\n`;

  test('are handed over before the snapshot is enforced; DER and PEM, several in a file', async () => {
    const others = new TestAuthority('others');
    const host = new Host();
    host.files.set('/ca.pem', Buffer.from(partners.cert + others.cert)).set('/der', crl(partners, ['0A'])).set('/pem', Buffer.from(pem(crl(partners, ['0B'])) + pem(crl(others, ['0C', '0D']))));
    expect(await host.crls.reach(snapshotWith(['/der', '/pem']))).toBeNull();
    expect(host.listed).toEqual({ '/der': 1, '/pem': 3 });
    expect(host.told.at(-1)).toMatchObject({ kind: 'crl', full: true });
  });

  test('cost nothing where none is named, or no listener asks for certificates', async () => {
    const host = new Host();
    expect(await host.apply(snapshotWith([]))).toEqual([]);
    expect(await host.apply(snapshotWith(['/nowhere'], []))).toEqual([]);
    expect([host.told.length, host.timers.size, host.crls.status]).toEqual([0, 0, []]);
  });

  test.each<[string, () => Buffer | null, string]>([
    ['missing', () => null, 'unreadable-file: /crl cannot be read: there is no such file'],
    ['something else', () => Buffer.from('hello'), 'invalid-crl: /crl holds no list of revoked certificates'],
    ['cut off', () => crl(partners, ['0A']).subarray(0, 60), 'invalid-crl: /crl holds a list that cannot be read'],
    ['somebody else\'s', () => crl(new TestAuthority('others'), []), 'untrusted-crl: /crl holds a list that none of the authorities'],
    ['early', () => crl(partners, [], ['-crl_lastupdate', '20400101000000Z', '-crl_nextupdate', '20410101000000Z']), 'early-crl: /crl holds a list that is not valid before 2040-01-01'],
    ['too many', () => Buffer.from(pem(crl(partners, [])).repeat(17)), 'too-many: /crl holds 17 lists'],
  ])('one that is %s refuses the snapshot', async (_title, make, problem) => {
    const host = new Host();
    const bytes = make();
    if (bytes !== null) host.files.set('/crl', bytes);
    const [error] = await host.apply(snapshotWith(['/crl']));
    expect(error).toContain(`clientCertificate/crlFiles ${problem}`);
    // From the disk it would be enforced all the same: it is said, and nobody is told of a list.
    await host.crls.follow(snapshotWith(['/crl']));
    expect(host.problems[0]).toContain(problem.slice(problem.indexOf('/crl')));
    expect(host.told).toEqual([]);
  });

  test('are read again when they change; what cannot be used replaces nothing', async () => {
    const host = new Host();
    host.files.set('/crl', crl(partners, ['0A']));
    await host.apply(snapshotWith(['/crl']));
    await host.look();
    expect(host.told).toHaveLength(1);
    host.files.set('/crl', crl(partners, ['0A', '0B']));
    await host.look();
    expect([host.listed, host.problems]).toEqual([{ '/crl': 2 }, [null]]);
    host.files.set('/crl', Buffer.from('-----BEGIN'));
    await host.look();
    await host.look();
    expect(host.listed).toEqual({ '/crl': 2 });
    expect(host.problems[0]).toContain('holds no list');
    expect(host.lines.filter((line) => line.includes('cannot be used'))).toHaveLength(1);
    host.files.delete('/ca.pem');
    host.files.set('/crl', crl(partners, []));
    await host.look();
    expect([host.listed, host.problems]).toEqual([{ '/crl': 0 }, [null]]);
    await host.apply(snapshotWith([]));
    expect([host.listed, host.crls.status, host.timers.size]).toEqual([{}, [], 0]);
  });

  test('whose time is over are taken, and said', async () => {
    const host = new Host();
    host.files.set('/crl', crl(partners, ['0A']));
    await host.apply(snapshotWith(['/crl']));
    expect(host.crls.status[0]?.facts).toMatchObject({ names: ['CN=partners'] });
    host.timers.clock.stepWall(8 * day);
    expect(host.problems[0]).toContain('holds a list whose time was over at');
  });

  test('of authorities that are believed no more are not either', async () => {
    const host = new Host();
    host.files.set('/crl', crl(partners, ['0A']));
    await host.apply(snapshotWith(['/crl']));
    host.files.set('/ca.pem', Buffer.from(new TestAuthority('partners').cert));
    await host.look();
    expect([host.listed, host.problems[0]?.includes('none of the authorities')]).toEqual([{}, true]);
  });

  test('that name an authority revoke all below it', async () => {
    const between = new TestAuthority('between', partners);
    const below = new TestAuthority('below', between);
    const host = new Host();
    host.files.set('/ca.pem', Buffer.from(partners.cert + between.cert + below.cert));
    host.files.set('/crl', Buffer.from([crl(below, []), crl(between, []), crl(partners, [serialOf(between.cert)])].map(pem).join('')));
    await host.apply(snapshotWith(['/crl']));
    expect(decodeCrls(host.told.at(-1)?.facts.get('/crl') ?? new Uint8Array())?.map(({ issuerRevoked }) => issuerRevoked)).toEqual([true, true, false]);
  });

  test('a revoked certificate is refused at the next request of its connection, and on a resumed session', async () => {
    const rigged = rig = await TlsRig.start({
      certificates: [partners.issue({ dns: ['a.test'] })], tls: { clientCaFiles: ['/ca.pem'], clientAuth: 'required' }, files: { '/ca.pem': partners.cert }, quiet: true,
      sections: [{ kind: clientCertificateAuthoring, section: { crlFiles: ['/crl'] } }, { kind: authenticationAuthoring, section: {} }],
    });
    const host = new Host((update) => rigged.plane.useFacts(update));
    // Nothing is read yet: nobody can be judged.
    expect((await visit(rigged.port, till)).text).toContain('client-certificate-unchecked');
    host.files.set('/crl', crl(partners, ['0A']));
    expect(await host.apply(snapshotWith(['/crl']))).toEqual([]);
    const kept = tls.connect({ port: rigged.port, host: '127.0.0.1', rejectUnauthorized: false, ...till });
    const ask = async (): Promise<string> => {
      kept.write('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
      const [part] = await once(kept, 'data') as [Buffer];
      return part.toString();
    };
    const first = await visit(rigged.port, { ...till, maxVersion: 'TLSv1.2' });
    expect([first.text, await ask()]).toEqual([expect.stringContaining('HTTP/1.1 200'), expect.stringContaining('HTTP/1.1 200')]);
    host.files.set('/crl', crl(partners, ['0A', serialOf(till.cert)]));
    await host.look();
    expect(await ask()).toMatch(/^HTTP\/1\.1 403[^]*client-certificate-revoked/);
    const again = await visit(rigged.port, { ...till, maxVersion: 'TLSv1.2', ...(first.session && { session: first.session }) });
    expect([again.reused, again.text.includes('client-certificate-revoked')]).toEqual([true, true]);
    expect((await visit(rigged.port, partners.issue({ dns: ['other.test'] }))).text).toContain('HTTP/1.1 200');
    kept.destroy();
  });
});
