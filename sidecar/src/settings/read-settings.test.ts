import path from 'node:path';
import { expectGolden } from '@remora/testing/golden';
import { describe, expect, test } from 'vitest';
import { readSettings, type SettingsResult } from './read-settings.ts';
import type { SidecarSettings } from './sidecar-settings.ts';
import { settingsHelp, settingsPage } from './table.ts';

function read(argv: string, env: Record<string, string> = {}, files: Record<string, string> = {}): SettingsResult {
  return readSettings({
    argv: argv.split(' ').filter((each) => each !== ''),
    env: { HOME: '/home/u', ...env },
    readFile: (file) => {
      const text = files[file];
      if (text === undefined) throw Object.assign(new Error(`ENOENT: ${file}`), { code: 'ENOENT' });
      return text;
    },
  });
}

function good(argv: string, env: Record<string, string> = {}, files: Record<string, string> = {}): SidecarSettings {
  const result = read(argv, env, files);
  if (result.kind !== 'run') throw new Error(JSON.stringify(result));
  return result.settings;
}

function problems(argv: string, env: Record<string, string> = {}, files: Record<string, string> = {}): readonly string[] {
  const result = read(argv, env, files);
  return result.kind === 'invalid' ? result.problems.map(({ setting, message }) => `${setting} ${message}`) : [];
}

describe('defaults', () => {
  test('of a service with an app, on one machine', () => {
    expect(good('--service orders --app 127.0.0.1:8080')).toEqual({
      subject: { kind: 'service', name: 'orders' }, controlPlanes: ['127.0.0.1:8601'], nodeId: '', labels: {}, locality: '',
      apps: new Map([['', { host: '127.0.0.1', port: 8080 }]]), inbounds: new Map([['', { host: '127.0.0.1', port: 15006 }]]),
      outbound: { host: '127.0.0.1', port: 15001 }, outboundFor: new Map(), listeners: new Map(), listenHost: '127.0.0.1', advertise: new Map(),
      admin: { host: '127.0.0.1', port: 15000 }, adminAllowRemote: false, health: null, dataDir: '/home/u/.local/state/remora/service-orders', workers: 1, withoutKinds: [], memoryLimitBytes: 0,
      onNoSnapshot: 'wait', startTimeoutMs: 30_000, drainDelayMs: 5_000, drainTimeoutMs: 30_000, telemetryIntervalMs: 10_000, otlpEndpoint: '', otlpSpans: 'requests', otlpSampling: 1, logLevel: 'info', diskKey: null, identity: null,
    });
  });

  test('of a Gateway, and of a caller without an app', () => {
    expect(good('--gateway edge --listener plain=0')).toMatchObject({ outbound: null, listeners: new Map([['plain', { host: '127.0.0.1', port: 0 }]]) });
    expect(good('--service batch').inbounds.size).toBe(0);
  });

  test('bind every address once a control plane is elsewhere', () => {
    const settings = good('--service orders --app 127.0.0.1:80 --control-plane cp.example:8601 --control-plane-insecure');
    expect(settings).toMatchObject({ listenHost: '0.0.0.0', inbounds: new Map([['', { host: '0.0.0.0', port: 15006 }]]), outbound: { host: '127.0.0.1' }, admin: { host: '127.0.0.1' } });
  });
});

describe('identity', () => {
  const token = `rmj1.k3x9q2m7ab01.${'S'.repeat(43)}.${'p'.repeat(43)}.shop.example`;
  const parsed = { id: 'k3x9q2m7ab01', secret: 'S'.repeat(43), pin: 'p'.repeat(43), trustDomain: 'shop.example' };

  test.each<[string, Record<string, string>, Record<string, string>, SidecarSettings['identity']]>([
    ['--service a', {}, {}, null],
    ['--service a', { REMORA_JOIN_TOKEN: token }, {}, { token: parsed, enrolment: [{ host: '127.0.0.1', port: 8602 }] }],
    ['--service a --control-plane cp.example:9 --join-token-file /t', {}, { '/t': `${token}\n` }, { token: parsed, enrolment: [{ host: 'cp.example', port: 8602 }] }],
    ['--service a --join-token-file /gone --enrolment cp:1', {}, {}, { token: null, enrolment: [{ host: 'cp', port: 1 }] }],
    ['--service a --identity mtls', {}, {}, { token: null, enrolment: [{ host: '127.0.0.1', port: 8602 }] }],
  ])('%s', (argv, env, files, identity) => {
    expect(good(argv, env, files).identity).toEqual(identity);
  });

  test.each<[string, Record<string, string>, string]>([
    ['--service a --identity off', { REMORA_JOIN_TOKEN: token }, 'REMORA_JOIN_TOKEN does nothing without --identity mtls'],
    ['--service a --enrolment cp:1', {}, '--enrolment does nothing without --identity mtls'],
    ['--service a --join-token-file /t', { REMORA_JOIN_TOKEN: token }, '--join-token-file there is a join-token too: which one?'],
    ['--service a', { REMORA_JOIN_TOKEN: token.slice(0, 60) }, 'REMORA_JOIN_TOKEN cannot be used: expected a join token; what is given is no whole join token: was a part of it lost when it was copied?'],
    ['--service a --join-token-file /t', {}, '--join-token-file /t is no join token: those begin with rmj1.'],
    ['--service a --snapshot-key SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS', {}, '--snapshot-key cannot be used: expected 32 bytes in base64 or hexadecimal, such as `openssl rand -base64 32` makes --snapshot-key as an argument everybody on the host can read it: give REMORA_SNAPSHOT_KEY, or --snapshot-key-file'],
    [`--service a --snapshot-key ${'ab'.repeat(31)}cd`, {}, '--snapshot-key as an argument everybody on the host can read it: give REMORA_SNAPSHOT_KEY, or --snapshot-key-file'],
    ['--service a --snapshot-key-file /gone', { REMORA_SNAPSHOT_KEY: `${'ab'.repeat(31)}cd` }, '--snapshot-key-file there is a key in snapshot-key too: which one? --snapshot-key-file /gone cannot be read: ENOENT'],
    ['--service a --snapshot-key-file /gone', {}, '--snapshot-key-file /gone cannot be read: ENOENT'],
  ])('%s is refused, and no secret is shown', (argv, env, problem) => {
    const said = problems(argv, env, { '/t': 'SSSSSS' });
    expect(said.join(' ')).toBe(problem);
    expect(said.join()).not.toContain('SSSS');
  });
});

describe('values', () => {
  test('of every form', () => {
    const settings = good('--service orders --app http=127.0.0.1:80 --app admin=[::1]:81 --inbound http=10.0.0.1:0 --inbound admin=16000 '
      + '--outbound-for payments=15011 --outbound-for db:5432=15012 --label version=v2 --label a/b= --advertise http=orders.example:80 --advertise 10.0.0.9 --without-kind fault '
      + '--control-plane=[::1]:1 --control-plane localhost:2 --drain-timeout 1m30s --workers 4 --otlp-endpoint http://127.0.0.1:4318 --otlp-sampling 0.05 '
      + '--otlp-spans operations --no-outbound=false');
    expect(settings).toMatchObject({
      apps: new Map([['http', { host: '127.0.0.1', port: 80 }], ['admin', { host: '::1', port: 81 }]]),
      inbounds: new Map([['http', { host: '10.0.0.1', port: 0 }], ['admin', { host: '127.0.0.1', port: 16000 }]]),
      outboundFor: new Map([['payments', { host: '127.0.0.1', port: 15011 }], ['db:5432', { host: '127.0.0.1', port: 15012 }]]),
      labels: { version: 'v2', 'a/b': '' },
      advertise: new Map([['http', { host: 'orders.example', port: 80 }], ['', { host: '10.0.0.9', port: 0 }]]),
      withoutKinds: ['fault'], controlPlanes: ['[::1]:1', 'localhost:2'], drainTimeoutMs: 90_000, workers: 4, otlpSampling: 0.05, otlpSpans: 'operations',
    });
  });

  test('arguments are stronger than the environment, which is stronger than the file', () => {
    const files = { 's.json': JSON.stringify({ service: 'file', workers: 2, 'control-plane': ['127.0.0.1:1', '127.0.0.1:2'], 'no-outbound': true }) };
    const settings = good('--service argument', { REMORA_SERVICE: 'environment', REMORA_WORKERS: '3', REMORA_SETTINGS: 's.json', REMORA_LABEL: 'a=1, b=2' }, files);
    expect(settings).toMatchObject({ subject: { name: 'argument' }, workers: 3, controlPlanes: ['127.0.0.1:1', '127.0.0.1:2'], outbound: null, labels: { a: '1', b: '2' } });
  });
});

describe('problems', () => {
  test('are all said at once, with where they come from', () => {
    expect(problems('--workers 99 --app 127.0.0.1 --lable version=v2 stray --drain-timeout 5', { REMORA_LOG_LEVEL: 'loud', REMORA_SETTINGS: 's.json' }, { 's.json': '{"admin-port": {}, "nod-id": "x"}' })).toEqual([
      '--lable is not a setting; did you mean label?',
      'stray is not expected here: settings begin with --',
      's.json: admin-port must be a text, a number, true, false, or a list of these',
      's.json: nod-id is not a setting; did you mean node-id?',
      '--app is "127.0.0.1", expected [NAME=]VALUE, where VALUE is HOST:PORT, an IPv6 address in brackets',
      '--workers is "99", expected a whole number between 1 and 64',
      '--drain-timeout is "5", expected a duration such as 250ms, 5s or 1m30s',
      'REMORA_LOG_LEVEL is "loud", expected one of debug, info, warn, error, silent',
      '--service or --gateway is needed: for what does this sidecar run?',
    ]);
  });

  const table: readonly [string, string][] = [
    ['--service a --gateway b', '--gateway cannot be combined with --service: a sidecar runs for one of them'],
    ['--service a --service b', '--service is given more than once'],
    ['--service', '--service needs a value: NAME'],
    ['--gateway a --app 127.0.0.1:1', '--app is for services; a Gateway has listeners'],
    ['--service a --listener x=1', '--listener is for Gateways; use --inbound'],
    ['--service a --control-plane 10.0.0.1:8601', '--control-plane 10.0.0.1 is not loopback, and without identity nobody authenticates the connection: give a join token (--join-token-file), or allow it with --control-plane-insecure'],
    ['--service a --admin-port 0.0.0.0:15000', '--admin-port binds 0.0.0.0, which is not loopback; the admin interface has no authentication. --admin-allow-remote allows it'],
    ['--service a --inbound http=1', '--inbound port http has no --app: what does it forward to?'],
    ['--service a --app x=127.0.0.1:1 --app y=127.0.0.1:2 --inbound x=3', '--app port y has no --inbound: where does it listen?'],
    ['--service a --app 127.0.0.1:1 --app 127.0.0.1:2', '--app is given without a name more than once'],
    ['--service a --label version=v1 --label version=v2', '--label names version more than once'],
    ['--service a --outbound-for db:0=1', '--outbound-for is "db:0=1", expected NAME=VALUE, where NAME is SERVICE or SERVICE:PORT'],
    ['--service a --no-outbound --outbound 1', '--no-outbound contradicts --outbound and --outbound-for'],
    ['--service a --telemetry-interval 10ms', '--telemetry-interval must be at least 1s'],
    ['--service a --otlp-endpoint http://u:p@h/', '--otlp-endpoint is "http://u:p@h/", expected an http:// or https:// URL without credentials'],
    ['--service a --otlp-sampling 10%', '--otlp-sampling needs --otlp-endpoint: where do spans go?'],
    ['--service a --otlp-endpoint http://h --otlp-sampling 1.5', '--otlp-sampling is "1.5", expected a share between 0% and 100%, or 0 and 1'],
    ['--service a --app 127.0.0.1:0', '--app 127.0.0.1 needs a port'],
  ];
  test.each(table)('%s', (argv, message) => {
    expect(problems(argv)).toContain(message);
  });

  test('of the file', () => {
    expect(problems('--service a --settings none.json')).toEqual(['none.json cannot be read: ENOENT: none.json']);
    expect(problems('--service a --settings s.yaml', {}, { 's.yaml': 'workers: 2' })[0]).toMatch(/^s.yaml is not JSON \(YAML is not read here\)/);
    expect(problems('--service a --settings s', {}, { s: '[]' })).toEqual(['s must hold one JSON object']);
  });

  test('names such as __proto__ are names', () => {
    expect(good('--service constructor --label constructor=x')).toMatchObject({ subject: { name: 'constructor' }, labels: { constructor: 'x' } });
    expect(problems('--service a --settings s', {}, { s: '{"__proto__": "x"}' })).toHaveLength(1);
  });
});

test('help and version are answered whatever else is wrong', () => {
  expect(read('--nonsense --help').kind).toBe('help');
  expect(read('--version').kind).toBe('version');
});

test('help and the page in docs are made from the table', () => {
  expectGolden(path.join(import.meta.dirname, 'testdata/help.txt'), settingsHelp());
  expectGolden(path.resolve(import.meta.dirname, '../../../docs/settings-sidecar.md'), settingsPage());
});
