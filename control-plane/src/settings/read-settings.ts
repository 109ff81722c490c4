import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { suggest } from '@remora/core/suggest';
import type { ApiTls, ControlPlaneSettings, DiscoverySettings, LogLevel, OidcSettings } from './control-plane-settings.ts';
import { environmentName, settingTable } from './table.ts';

/** One thing that is wrong with the settings. */
export interface SettingProblem {
  /** `--api-port`, `REMORA_CP_API_PORT`, `settings.json: api-port`. */
  readonly setting: string;
  readonly message: string;
}

export type SettingsResult = { readonly ok: true; readonly settings: ControlPlaneSettings } | { readonly ok: false; readonly problems: readonly SettingProblem[] };

type Environment = Readonly<Record<string, string | undefined>>;

interface Given {
  readonly setting: string;
  readonly text: string;
}

/** Reads arguments, environment and settings file; answers everything that is wrong at once. */
export function readSettings(argv: readonly string[], env: Environment, readFile: (path: string) => string): SettingsResult {
  const problems: SettingProblem[] = [];
  const given = new Map<string, Given>();
  readArguments(argv, given, problems);
  readEnvironment(env, given, problems);
  const file = given.get('settings')?.text;
  if (file !== undefined) readSettingsFile(file, readFile, given, problems);
  const values = new Map<string, unknown>();
  for (const { name, parse, defaultText } of settingTable) {
    const source = given.get(name);
    const text = source?.text ?? (name === 'data-dir' ? defaultDataDir(env) : defaultText);
    if (source === undefined && text === '') continue;
    const result = parse(text);
    if ('value' in result) values.set(name, result.value);
    else problems.push({ setting: source?.setting ?? `--${name}`, message: `${JSON.stringify(text.slice(0, 100))}: expected ${result.expected}` });
  }
  problems.push(...secretProblems(values, given), ...identityProblems(values, given), ...operatorProblems(values, given), ...discoveryProblems(given));
  return problems.length > 0 ? { ok: false, problems } : { ok: true, settings: settingsOf(values) };
}

/** Keys and sources of secrets that contradict each other. */
function secretProblems(values: ReadonlyMap<string, unknown>, given: ReadonlyMap<string, Given>): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const fail = (name: string, message: string): void => void problems.push({ setting: given.get(name)?.setting ?? `--${name}`, message });
  for (const name of ['encryption-key', 'previous-encryption-key']) {
    if (given.has(name) && given.has(`${name}-file`)) fail(`${name}-file`, `there is a key in ${environmentName(name)} too: which one?`);
  }
  const hasKey = given.has('encryption-key') || given.has('encryption-key-file');
  if (values.get('key-storage') === 'plain' && hasKey) fail('key-storage', 'plain, and there is an encryption key: which one?');
  if ((given.has('previous-encryption-key') || given.has('previous-encryption-key-file')) && !hasKey) fail('previous-encryption-key-file', 'needs the new key beside it: --encryption-key-file');
  const vault = given.has('vault-address');
  for (const name of ['vault-token-file', 'vault-token', 'vault-namespace', 'vault-ca-file']) if (given.has(name) && !vault) fail(name, 'does nothing without --vault-address');
  if (vault && given.has('vault-token') === given.has('vault-token-file')) fail('vault-address', 'needs a token: exactly one of --vault-token-file and REMORA_CP_VAULT_TOKEN');
  return problems;
}

/** What does nothing without the address it is about, or contradicts itself. */
function discoveryProblems(given: ReadonlyMap<string, Given>): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const fail = (name: string, message: string): void => void problems.push({ setting: given.get(name)?.setting ?? `--${name}`, message });
  for (const name of ['consul-token', 'consul-token-file', 'consul-ca-file']) if (given.has(name) && !given.has('consul-address')) fail(name, 'does nothing without --consul-address');
  if (given.has('consul-token') && given.has('consul-token-file')) fail('consul-token-file', `there is a token in ${environmentName('consul-token')} too: which one?`);
  for (const name of ['kubernetes-token-file', 'kubernetes-ca-file']) {
    if (given.has(name) && !given.has('kubernetes-api')) fail(name, 'does nothing without --kubernetes-api');
    else if (given.has(name) && given.get('kubernetes-api')?.text === 'in-cluster') fail(name, 'is the pod\'s own with --kubernetes-api in-cluster');
  }
  return problems;
}

/** What does nothing without identity, or contradicts itself. */
function identityProblems(values: ReadonlyMap<string, unknown>, given: ReadonlyMap<string, Given>): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const fail = (name: string, message: string): void => void problems.push({ setting: given.get(name)?.setting ?? `--${name}`, message });
  if (values.get('identity') === 'off') {
    for (const name of identityNames) if (given.has(name)) fail(name, 'does nothing without --identity mtls');
    return problems;
  }
  const [certificate, key] = [given.has('ca-certificate-file'), given.has('ca-key-file')];
  if (certificate !== key) fail(certificate ? 'ca-certificate-file' : 'ca-key-file', `needs --ca-${certificate ? 'key' : 'certificate'}-file beside it`);
  const [nextCertificate, nextKey] = [given.has('ca-next-certificate-file'), given.has('ca-next-key-file')];
  if (nextCertificate !== nextKey) fail(nextCertificate ? 'ca-next-certificate-file' : 'ca-next-key-file', `needs --ca-next-${nextCertificate ? 'key' : 'certificate'}-file beside it`);
  if (nextCertificate && !certificate) fail('ca-next-certificate-file', 'needs --ca-certificate-file: an authority of our own makes the next one itself');
  return problems;
}

const identityNames = ['enrolment-host', 'enrolment-port', 'ca-certificate-file', 'ca-key-file', 'ca-next-certificate-file', 'ca-next-key-file', 'recovery-age'];

/** What contradicts itself at the API. */
function operatorProblems(values: ReadonlyMap<string, unknown>, given: ReadonlyMap<string, Given>): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const fail = (name: string, message: string): void => void problems.push({ setting: given.get(name)?.setting ?? `--${name}`, message });
  const [certificate, key, tls] = [given.has('api-cert-file'), given.has('api-key-file'), values.get('api-tls')];
  if (certificate !== key) fail(certificate ? 'api-cert-file' : 'api-key-file', `needs --api-${certificate ? 'key' : 'cert'}-file beside it`);
  if (tls === 'files' && !certificate && !key) fail('api-tls', 'files: needs --api-cert-file and --api-key-file');
  if ((tls === 'off' || tls === 'ca') && (certificate || key)) fail('api-tls', `${tls}, and there are files of a certificate: which one?`);
  if (tls === 'ca' && values.get('identity') === 'off') fail('api-tls', 'ca: needs --identity mtls, which has the authority');
  if (values.get('api-auth') === 'off') for (const name of ['first-token-file', ...oidcNames]) if (given.has(name)) fail(name, 'does nothing with --api-auth off');
  if (given.has('oidc-issuer')) for (const name of ['oidc-audience', 'oidc-roles-file']) if (!given.has(name)) fail('oidc-issuer', `needs --${name} beside it`);
  if (!given.has('oidc-issuer')) for (const name of oidcNames.slice(1)) if (given.has(name)) fail(name, 'does nothing without --oidc-issuer');
  return problems;
}

const oidcNames = ['oidc-issuer', 'oidc-audience', 'oidc-roles-file', 'oidc-client-id', 'oidc-scopes'];

function oidcOf(text: (name: string) => string): OidcSettings | null {
  if (text('oidc-issuer') === '') return null;
  return { issuer: text('oidc-issuer'), audience: text('oidc-audience'), rolesFile: resolve(text('oidc-roles-file')), clientId: text('oidc-client-id'), scopes: text('oidc-scopes').split(' ').filter((scope) => scope !== '') };
}

function tlsOf(text: (name: string) => string): ApiTls {
  if (text('api-tls') === 'ca') return { kind: 'ca' };
  const [certificate, key] = [text('api-cert-file'), text('api-key-file')];
  return certificate === '' ? { kind: 'off' } : { kind: 'files', certificate: resolve(certificate), key: resolve(key) };
}

function settingsOf(values: ReadonlyMap<string, unknown>): ControlPlaneSettings {
  // The table's parsers made them, so their types are known here.
  const text = (name: string): string => (values.get(name) ?? '') as string;
  const number = (name: string): number => Number(values.get(name));
  return {
    store: text('store') === 'memory' ? 'memory' : 'sqlite',
    dataDir: resolve(text('data-dir')),
    apiHost: text('api-host'),
    apiPort: number('api-port'),
    operators: { authentication: text('api-auth') === 'tokens' ? 'tokens' : 'off', tls: tlsOf(text), oidc: oidcOf(text), firstTokenFile: text('first-token-file') },
    pushHost: text('push-host'),
    pushPort: number('push-port'),
    retentionAgeMs: number('retention-age'),
    retentionRevisions: number('retention-revisions'),
    auditRetentionMs: number('audit-retention'),
    otlpEndpoint: text('otlp-endpoint'),
    logLevel: text('log-level') as LogLevel,
    secrets: {
      encryptionKey: text('encryption-key'),
      encryptionKeyFile: text('encryption-key-file'),
      previousKey: text('previous-encryption-key'),
      previousKeyFile: text('previous-encryption-key-file'),
      keyStorage: text('key-storage') === 'plain' ? 'plain' : 'encrypted',
      folder: text('secrets-dir') === '' ? '' : resolve(text('secrets-dir')),
      refreshMs: number('secrets-refresh'),
      vault: text('vault-address') === '' ? null : {
        address: text('vault-address'), token: text('vault-token'), tokenFile: text('vault-token-file'), namespace: text('vault-namespace'), authorityFile: text('vault-ca-file'),
      },
    },
    discovery: {
      dnsServers: (values.get('dns-servers') as DiscoverySettings['dnsServers'] | undefined) ?? [],
      consul: text('consul-address') === '' ? null : { address: text('consul-address'), token: text('consul-token'), tokenFile: text('consul-token-file'), authorityFile: text('consul-ca-file') },
      kubernetes: text('kubernetes-api') === '' ? null : { address: text('kubernetes-api'), token: '', tokenFile: text('kubernetes-token-file'), authorityFile: text('kubernetes-ca-file') },
      folder: text('discovery-dir') === '' ? '' : resolve(text('discovery-dir')),
    },
    identity: text('identity') === 'mtls' ? {
      enrolmentHost: text('enrolment-host'),
      enrolmentPort: number('enrolment-port'),
      encryptionKey: text('encryption-key'),
      encryptionKeyFile: text('encryption-key-file'),
      previousKey: text('previous-encryption-key'),
      previousKeyFile: text('previous-encryption-key-file'),
      keyStorage: text('key-storage') === 'plain' ? 'plain' : 'encrypted',
      authorityCertificateFile: text('ca-certificate-file'),
      authorityKeyFile: text('ca-key-file'),
      nextAuthorityCertificateFile: text('ca-next-certificate-file'),
      nextAuthorityKeyFile: text('ca-next-key-file'),
      recoveryMs: number('recovery-age'),
    } : null,
  };
}

function readArguments(argv: readonly string[], given: Map<string, Given>, problems: SettingProblem[]): void {
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    const match = /^--([a-z][a-z-]*)(?:=(.*))?$/s.exec(word);
    const name = match?.[1] ?? '';
    if (!match || !isKnown(name)) {
      problems.push({ setting: word.slice(0, 100), message: unknownText(name) });
      continue;
    }
    const text = match[2] ?? argv[++at];
    if (text === undefined) problems.push({ setting: word, message: 'has no value' });
    else if (isEnvironmentOnly(name)) problems.push({ setting: `--${name}`, message: `is taken from the environment only (${environmentName(name)}): others can read arguments` });
    else if (given.has(name)) problems.push({ setting: word, message: 'is given twice' });
    else given.set(name, { setting: `--${name}`, text });
  }
}

function readEnvironment(env: Environment, given: Map<string, Given>, problems: SettingProblem[]): void {
  const names = new Map(settingTable.map(({ name }) => [environmentName(name), name]));
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('REMORA_CP_') || text === undefined || text === '') continue;
    const name = names.get(variable);
    if (name === undefined) {
      const near = suggest(variable, names.keys());
      problems.push({ setting: variable, message: `is no setting${near ? `; did you mean ${near}?` : ''}` });
    } else if (!given.has(name)) given.set(name, { setting: variable, text });
  }
}

function readSettingsFile(path: string, readFile: (path: string) => string, given: Map<string, Given>, problems: SettingProblem[]): void {
  let content: unknown;
  try {
    content = JSON.parse(readFile(path));
  } catch (error) {
    problems.push({ setting: path, message: (error as Error).message });
    return;
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    problems.push({ setting: path, message: 'expected a JSON object with settings by name' });
    return;
  }
  for (const [name, value] of Object.entries(content)) {
    if (isEnvironmentOnly(name)) problems.push({ setting: `${path}: ${name}`, message: `is taken from the environment only (${environmentName(name)})` });
    else if (!isKnown(name) || name === 'settings') problems.push({ setting: `${path}: ${name}`, message: unknownText(name) });
    else if (typeof value !== 'string' && typeof value !== 'number') problems.push({ setting: `${path}: ${name}`, message: 'expected a text or a number' });
    else if (!given.has(name)) given.set(name, { setting: `${path}: ${name}`, text: String(value) });
  }
}

function isKnown(name: string): boolean {
  return settingTable.some((row) => row.name === name);
}

function isEnvironmentOnly(name: string): boolean {
  return settingTable.some((row) => row.name === name && row.environmentOnly);
}

function unknownText(name: string): string {
  const near = suggest(name, settingTable.map((row) => row.name));
  return `is no setting${near ? `; did you mean --${near}?` : ''}`;
}

function defaultDataDir(env: Environment): string {
  return join(env['XDG_STATE_HOME'] || join(env['HOME'] || homedir(), '.local', 'state'), 'remora', 'control-plane');
}
