import { join } from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { describe, expect, test } from 'vitest';
import { readSettings } from './read-settings.ts';
import { environmentName, settingTable, settingsHelp, settingsPage } from './table.ts';

const noFile = (path: string): string => {
  throw new Error(`ENOENT: no such file or directory, open '${path}'`);
};
const home = { HOME: '/home/ana' };

describe('settings of the control plane', () => {
  test('defaults', () => {
    expect(readSettings([], home, noFile)).toEqual({
      ok: true,
      settings: {
        store: 'sqlite', dataDir: '/home/ana/.local/state/remora/control-plane', apiHost: '127.0.0.1', apiPort: 8600, pushHost: '127.0.0.1', pushPort: 8601,
        retentionAgeMs: 2_592_000_000, retentionRevisions: 1_000, auditRetentionMs: 31_536_000_000, otlpEndpoint: '', logLevel: 'info', secrets: { encryptionKey: '', encryptionKeyFile: '', previousKey: '', previousKeyFile: '', keyStorage: 'encrypted', folder: '', refreshMs: 60_000, vault: null }, identity: null,
        discovery: { dnsServers: [], consul: null, kubernetes: null, folder: '' },
        operators: { authentication: 'tokens', tls: { kind: 'off' }, oidc: null, firstTokenFile: '' },
      },
    });
  });

  test('arguments win over the environment, the environment over the file', () => {
    const read = readSettings(['--api-port=1', '--settings', 's.json'], { ...home, REMORA_CP_API_PORT: '2', REMORA_CP_PUSH_PORT: '3', REMORA_CP_STORE: '' }, () => '{"api-port": 4, "push-port": 5, "retention-revisions": 6}');
    expect(read).toMatchObject({ ok: true, settings: { apiPort: 1, pushPort: 3, retentionRevisions: 6, store: 'sqlite' } });
  });

  test('everything that is wrong is said at once, by the name it was given', () => {
    const read = readSettings(
      ['--api-prot', '1', 'extra', '--push-port', '99999', '--retention-age', 'long', '--api-host', '', '--log-level'],
      { ...home, REMORA_CP_STORE: 'postgres', REMORA_CP_DATADIR: '/x', REMORA_CONTROL_PLANE: 'of sidecars' },
      noFile,
    );
    expect(read.ok ? [] : read.problems).toEqual([
      { setting: '--api-prot', message: 'is no setting; did you mean --api-port?' },
      { setting: '1', message: 'is no setting' },
      { setting: 'extra', message: 'is no setting' },
      { setting: '--log-level', message: 'has no value' },
      { setting: 'REMORA_CP_DATADIR', message: 'is no setting; did you mean REMORA_CP_DATA_DIR?' },
      { setting: 'REMORA_CP_STORE', message: '"postgres": expected one of sqlite, memory' },
      { setting: '--api-host', message: '"": expected a text' },
      { setting: '--push-port', message: '"99999": expected a port from 0 to 65535; 0 picks a free one' },
      { setting: '--retention-age', message: '"long": expected a duration such as 12h or 30d' },
    ]);
  });

  test.each([
    ['missing', noFile, 'no such file'],
    ['no JSON', () => '{', 'JSON'],
    ['a list', () => '[]', 'expected a JSON object'],
    ['an unknown name', () => '{"api_port": 1}', 'did you mean --api-port?'],
    ['a value of another type', () => '{"api-port": {}}', 'expected a text or a number'],
    ['another file', () => '{"settings": "x"}', 'is no setting'],
  ] as const)('a settings file: %s', (_name, read, message) => {
    const result = readSettings(['--settings', 's.json'], home, read);
    expect(result.ok ? '' : result.problems.map((problem) => problem.message).join()).toContain(message);
  });

  test('identity', () => {
    const read = readSettings(['--identity', 'mtls', '--enrolment-port', '0', '--encryption-key-file', '/k'], home, noFile);
    expect(read).toMatchObject({
      ok: true,
      settings: { identity: { enrolmentHost: '127.0.0.1', enrolmentPort: 0, encryptionKey: '', encryptionKeyFile: '/k', keyStorage: 'encrypted', authorityCertificateFile: '', authorityKeyFile: '', recoveryMs: 2_592_000_000 } },
    });
  });

  test.each([
    [['--previous-encryption-key-file', '/k'], {}, '--previous-encryption-key-file', 'needs the new key beside it'],
    [['--vault-address', 'http://127.0.0.1:8200'], {}, '--vault-address', 'needs a token'],
    [['--vault-token-file', '/t'], {}, '--vault-token-file', 'does nothing without --vault-address'],
    [['--vault-token', 'planted'], {}, '--vault-token', 'from the environment only (REMORA_CP_VAULT_TOKEN)'],
    [['--identity', 'mtls', '--ca-key-file', '/k'], {}, '--ca-key-file', 'needs --ca-certificate-file beside it'],
    [['--identity', 'mtls', '--encryption-key', 'planted'], {}, '--encryption-key', 'from the environment only (REMORA_CP_ENCRYPTION_KEY)'],
    [['--identity', 'mtls', '--encryption-key-file', '/k'], { REMORA_CP_ENCRYPTION_KEY: 'planted' }, '--encryption-key-file', 'which one?'],
    [['--identity', 'mtls', '--key-storage', 'plain'], { REMORA_CP_ENCRYPTION_KEY: 'planted' }, '--key-storage', 'which one?'],
    [['--identity', 'tls'], {}, '--identity', 'expected one of off, mtls'],
  ])('%s %s is refused', (argv, env, setting, message) => {
    const read = readSettings(argv, { ...home, ...env }, noFile);
    expect(read.ok ? [] : read.problems).toEqual([{ setting, message: expect.stringContaining(message) }]);
    expect(JSON.stringify(read)).not.toContain('planted');
  });

  test('help and page name every setting; names are used once', () => {
    expect(new Set(settingTable.map(({ name }) => name)).size).toBe(settingTable.length);
    for (const { name, environmentOnly } of settingTable) expect(settingsHelp()).toContain(environmentOnly ? `  ${environmentName(name)} (environment only)` : `  --${name} `);
    expectGolden(join(import.meta.dirname, '../../../docs/settings-control-plane.md'), settingsPage());
  });

  test('every default is one that its own setting accepts', () => {
    const refused = settingTable.filter(({ defaultText, parse }) => defaultText !== '' && !('value' in parse(defaultText)));
    expect(refused).toEqual([]);
  });
});
