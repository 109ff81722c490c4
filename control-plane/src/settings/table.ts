import { isIP } from 'node:net';
import { parseDurationMs } from '@remora/core/units';
import { isAllowedUrl } from '../operators/oidc/issuer-url.ts';
import { logLevels } from './control-plane-settings.ts';

/** One setting. The table is the only source: parsing, `--help` and the page in docs are made from it. */
export interface SettingRow {
  /** `--<name>`, REMORA_CP_<NAME> in the environment, and the key in the settings file. */
  readonly name: string;
  readonly placeholder: string;
  /** What holds without it, as it would be written; for `data-dir`, as text for people. */
  readonly defaultText: string;
  readonly help: string;
  /** Not taken as an argument, which everybody on the host can read, nor from the settings file. */
  readonly environmentOnly?: true;
  /** The value, or a sentence on what was expected. */
  readonly parse: (text: string) => { readonly value: unknown } | { readonly expected: string };
}

type Parse = SettingRow['parse'];

const text: Parse = (value) => (value === '' ? { expected: 'a text' } : { value });

const port: Parse = (value) => (/^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? { value: Number(value) } : { expected: 'a port from 0 to 65535; 0 picks a free one' });

const oneOf = (words: readonly string[]): Parse => (value) => (words.includes(value) ? { value } : { expected: `one of ${words.join(', ')}` });

const duration: Parse = (value) => {
  const ms = parseDurationMs(value);
  return ms === null ? { expected: 'a duration such as 12h or 30d' } : { value: ms };
};

const count = (min: number, max: number): Parse => (value) =>
  /^\d{1,12}$/.test(value) && Number(value) >= min && Number(value) <= max ? { value: Number(value) } : { expected: `a whole number from ${min} to ${max}` };

const issuer: Parse = (value) => (isAllowedUrl(value) && !/[?#]/.test(value) ? { value } : { expected: 'a URL with https:// (http:// on this machine only), without query' });

const url: Parse = (value) => (/^https?:\/\//.test(value) && URL.canParse(value) ? { value } : { expected: 'a URL with http:// or https://' });

const kubernetesApi: Parse = (value) => (value === 'in-cluster' ? { value } : url(value));

/** `10.0.0.53`, `10.0.0.53:5353`, `[2001:db8::1]:53`, separated by commas; at most 8. */
const dnsServers: Parse = (value) => {
  const servers = value.split(',').map((word) => parseServer(word.trim()));
  return servers.length > 8 || servers.some((server) => server === null) ? { expected: 'addresses such as 10.0.0.53 or 10.0.0.53:5353, separated by commas, at most 8' } : { value: servers };
};

function parseServer(word: string): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|([\d.]+)(?::(\d{1,5}))?|([0-9A-Fa-f:.]+:[0-9A-Fa-f:.]*))$/.exec(word);
  const host = match?.[1] ?? match?.[3] ?? match?.[5] ?? '';
  const number = Number(match?.[2] ?? match?.[4] ?? 53);
  return isIP(host) !== 0 && number >= 1 && number <= 65_535 ? { host, port: number } : null;
}

export const settingTable: readonly SettingRow[] = [
  { name: 'store', placeholder: 'sqlite|memory', defaultText: 'sqlite', help: 'Where the log is kept. memory forgets everything at the end of the process.', parse: oneOf(['sqlite', 'memory']) },
  { name: 'data-dir', placeholder: 'DIR', defaultText: '$XDG_STATE_HOME/remora/control-plane', help: 'Folder of the database control-plane.db. One control plane at a time.', parse: text },
  { name: 'api-host', placeholder: 'ADDRESS', defaultText: '127.0.0.1', help: 'Address of the API. Elsewhere than on loopback it takes --api-auth tokens and TLS.', parse: text },
  { name: 'api-port', placeholder: 'PORT', defaultText: '8600', help: 'Port of the API; 0 picks a free one.', parse: port },
  { name: 'api-auth', placeholder: 'tokens|off', defaultText: 'tokens', help: 'tokens: who uses the API shows a token (docs/operators.md). off: whoever reaches it may do everything; on loopback only, for a machine of one\'s own.', parse: oneOf(['tokens', 'off']) },
  { name: 'api-tls', placeholder: 'off|files|ca', defaultText: '', help: 'TLS of the API: with --api-cert-file, or (ca) with a certificate of the own authority, for which --identity mtls is needed and clients use --pin. Without it: files where they are given, else off.', parse: oneOf(['off', 'files', 'ca']) },
  { name: 'api-cert-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the API\'s certificate and what leads to its root. Read again when it changes.', parse: text },
  { name: 'api-key-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the key of --api-cert-file.', parse: text },
  { name: 'oidc-issuer', placeholder: 'URL', defaultText: '', help: 'OpenID issuer whose tokens are taken at the API too, as it names itself. Needs --oidc-audience and --oidc-roles-file.', parse: issuer },
  { name: 'oidc-audience', placeholder: 'TEXT', defaultText: '', help: 'What its tokens must be for (aud).', parse: text },
  { name: 'oidc-roles-file', placeholder: 'FILE', defaultText: '', help: 'YAML file that maps claims to roles (docs/operators.md). Read again when it changes.', parse: text },
  { name: 'oidc-client-id', placeholder: 'TEXT', defaultText: '', help: 'Client of `remora login` at the issuer; without it people bring tokens themselves.', parse: text },
  { name: 'oidc-scopes', placeholder: 'LIST', defaultText: 'openid profile email offline_access', help: 'What `remora login` asks the issuer for, separated by spaces.', parse: text },
  { name: 'first-token-file', placeholder: 'FILE', defaultText: '', help: 'The one-time token of the first start goes into this file, readable by its owner only, and not to standard output.', parse: text },
  { name: 'push-host', placeholder: 'ADDRESS', defaultText: '127.0.0.1', help: 'Address sidecars connect to. Loopback only without --identity mtls.', parse: text },
  { name: 'push-port', placeholder: 'PORT', defaultText: '8601', help: 'Port sidecars connect to; 0 picks a free one.', parse: port },
  { name: 'retention-age', placeholder: 'DURATION', defaultText: '30d', help: 'History is kept at least this long.', parse: duration },
  { name: 'retention-revisions', placeholder: 'N', defaultText: '1000', help: 'History is kept for at least this many revisions, however old.', parse: count(1, 10_000_000) },
  { name: 'audit-retention', placeholder: 'DURATION', defaultText: '365d', help: 'Entries of the audit log are kept for so long; what goes is said in the log itself.', parse: duration },
  { name: 'otlp-endpoint', placeholder: 'URL', defaultText: '', help: 'OTLP over HTTP: metrics go to URL/v1/metrics.', parse: url },
  { name: 'log-level', placeholder: 'LEVEL', defaultText: 'info', help: `Of the log on standard error: ${logLevels.join(', ')}.`, parse: oneOf(logLevels) },
  { name: 'identity', placeholder: 'off|mtls', defaultText: 'off', help: 'mtls: sidecars have certificates of this control plane, and the push port takes nobody else. See docs/identity.md.', parse: oneOf(['off', 'mtls']) },
  { name: 'enrolment-host', placeholder: 'ADDRESS', defaultText: '127.0.0.1', help: 'With identity: address where sidecars get their certificates.', parse: text },
  { name: 'enrolment-port', placeholder: 'PORT', defaultText: '8602', help: 'With identity: port where sidecars get their certificates; 0 picks a free one.', parse: port },
  { name: 'encryption-key', placeholder: 'KEY', defaultText: '', help: 'Encrypts private keys, Secrets and credentials in the store: 32 bytes in base64 or hexadecimal. In the environment only.', parse: text, environmentOnly: true },
  { name: 'encryption-key-file', placeholder: 'FILE', defaultText: '', help: 'File with that key.', parse: text },
  { name: 'key-storage', placeholder: 'encrypted|plain', defaultText: 'encrypted', help: 'plain: private keys and Secrets are kept without an encryption key, for a demo; whoever reads the store can be anybody.', parse: oneOf(['encrypted', 'plain']) },
  { name: 'previous-encryption-key', placeholder: 'KEY', defaultText: '', help: 'The encryption key before: opens what it sealed until `remora secret rekey`. In the environment only.', parse: text, environmentOnly: true },
  { name: 'previous-encryption-key-file', placeholder: 'FILE', defaultText: '', help: 'File with that key.', parse: text },
  { name: 'secrets-dir', placeholder: 'DIR', defaultText: '', help: 'The only folder whose files Secrets can be read from.', parse: text },
  { name: 'secrets-refresh', placeholder: 'DURATION', defaultText: '1m', help: 'How often Secrets are read again from files, the environment and Vault.', parse: duration },
  { name: 'vault-address', placeholder: 'URL', defaultText: '', help: 'HashiCorp Vault that Secrets can be read from (key-value store, version 2).', parse: url },
  { name: 'vault-token', placeholder: 'TOKEN', defaultText: '', help: 'Its token. In the environment only.', parse: text, environmentOnly: true },
  { name: 'vault-token-file', placeholder: 'FILE', defaultText: '', help: 'File with that token, read at each use.', parse: text },
  { name: 'vault-namespace', placeholder: 'NAME', defaultText: '', help: 'Namespace of Vault Enterprise.', parse: text },
  { name: 'vault-ca-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the authorities that Vault\'s certificate is believed by; default those of the system.', parse: text },
  { name: 'dns-servers', placeholder: 'LIST', defaultText: '', help: 'DNS servers for Services with discovery by DNS and for host names in endpoints: addresses, with a port where it is not 53, separated by commas. Without it as the machine is set up (/etc/resolv.conf, /etc/hosts).', parse: dnsServers },
  { name: 'consul-address', placeholder: 'URL', defaultText: '', help: 'HTTP API of a Consul agent, for Services with discovery by Consul (docs/discovery.md).', parse: url },
  { name: 'consul-token', placeholder: 'TOKEN', defaultText: '', help: 'Its ACL token. In the environment only.', parse: text, environmentOnly: true },
  { name: 'consul-token-file', placeholder: 'FILE', defaultText: '', help: 'File with that token, read at each use.', parse: text },
  { name: 'consul-ca-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the authorities that the agent\'s certificate is believed by; default those of the system.', parse: text },
  { name: 'kubernetes-api', placeholder: 'URL', defaultText: '', help: 'Kubernetes API, for Services with discovery by Kubernetes. `in-cluster`: that of the cluster this runs in, with the account of its pod.', parse: kubernetesApi },
  { name: 'kubernetes-token-file', placeholder: 'FILE', defaultText: '', help: 'File with the bearer token for it, read at each use.', parse: text },
  { name: 'kubernetes-ca-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the authorities that its certificate is believed by; default those of the system.', parse: text },
  { name: 'discovery-dir', placeholder: 'DIR', defaultText: '', help: 'The only folder whose files Services with discovery by file can name.', parse: text },
  { name: 'ca-certificate-file', placeholder: 'FILE', defaultText: '', help: 'PEM of another certificate authority: the certificate that signs first, then what leads to its root, with the root. Read again when it changes.', parse: text },
  { name: 'ca-key-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the key of --ca-certificate-file.', parse: text },
  { name: 'ca-next-certificate-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the authority that `remora ca rotate` rolls to, where --ca-certificate-file is given. After the roll it signs, until it is moved to the place of that one.', parse: text },
  { name: 'ca-next-key-file', placeholder: 'FILE', defaultText: '', help: 'PEM of the key of --ca-next-certificate-file.', parse: text },
  { name: 'recovery-age', placeholder: 'DURATION', defaultText: '30d', help: 'How long after its certificate ended a sidecar can still renew it.', parse: duration },
  { name: 'settings', placeholder: 'FILE', defaultText: '', help: 'JSON file with settings by name; arguments and environment are stronger.', parse: text },
];

export function environmentName(name: string): string {
  return `REMORA_CP_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** Text of `remora control-plane --help`. */
export function settingsHelp(): string {
  const rows = settingTable.map(({ name, placeholder, help, defaultText, environmentOnly }) => `  ${environmentOnly ? `${environmentName(name)} (environment only)` : `--${name} ${placeholder}`}\n        ${help}${defaultText === '' ? '' : ` [${defaultText}]`}`);
  return [
    'Usage: remora control-plane [settings]',
    '       remora control-plane backup --data-dir DIR --to FILE',
    '       remora control-plane restore --data-dir DIR --from FILE',
    '       remora control-plane first-token --data-dir DIR',
    '',
    'Every setting can be an argument, a variable of the environment (REMORA_CP_API_PORT) or a key of a JSON file',
    '(--settings FILE); the first of these that has it wins.',
    '',
    ...rows,
    '',
    'Ends with 0 when told to stop, 2 where a setting is wrong, 75 where another try can help (a port or the store is in',
    'use), 78 where it cannot (the store is damaged, or of a newer version), 70 on a defect.',
    '',
  ].join('\n');
}

/** The page docs/settings-control-plane.md. */
export function settingsPage(): string {
  const cell = (value: string): string => value.replaceAll('|', '\\|');
  return [
    '# Settings of the control plane',
    '',
    'Made from `control-plane/src/settings/table.ts` by `npm run golden`. Arguments are stronger than the environment, which',
    'is stronger than the JSON file of `--settings` (keys as the arguments without `--`). Everything that is wrong is said at once.',
    '',
    '| argument | environment | value | default | meaning |',
    '| --- | --- | --- | --- | --- |',
    ...settingTable.map(({ name, placeholder, defaultText, help, environmentOnly }) => `| ${environmentOnly ? 'none' : `\`--${name}\``} | \`${environmentName(name)}\` | \`${cell(placeholder)}\` | ${cell(defaultText)} | ${cell(help)} |`),
    '',
  ].join('\n');
}
