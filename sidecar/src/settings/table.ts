import { logLevels } from '../telemetry/log.ts';
import {
  parseAddress, parseBinding, parseDestination, parseDuration, parseFlag, parseHostPort, parseInteger, parseJoin, parseKey, parseLabel, parseName, parseNamed, parseOneOf, parseOutbound, parseShare, parseText, parseUrl, type Parser,
} from './parsers.ts';

/** One setting. The table is the only source: parsing, `--help` and the page in docs are made from it. */
export interface SettingRow {
  /** `--<name>`, the key in the settings file, and REMORA_<NAME> in the environment (repeated values joined by commas). */
  readonly name: string;
  /** What stands for the value in help; '' for a flag. */
  readonly placeholder: string;
  readonly repeatable: boolean;
  /** What holds without it, as text for people. */
  readonly defaultText: string;
  readonly help: string;
  readonly parse: Parser<unknown>;
  /** Its values are never shown, not even wrong ones. */
  readonly secret?: true;
}

function row(name: string, placeholder: string, parse: Parser<unknown>, defaultText: string, help: string): SettingRow {
  return { name, placeholder: placeholder.replace('…', '').trim(), repeatable: placeholder.endsWith('…'), defaultText, help, parse };
}

const binding = parseNamed(parseBinding, { bare: true });

export const settingTable: readonly SettingRow[] = [
  row('service', 'NAME', parseName, '', 'Service that this sidecar runs beside. Exactly one of service and gateway.'),
  row('gateway', 'NAME', parseName, '', 'Gateway that this sidecar runs.'),
  row('control-plane', 'HOST:PORT …', parseHostPort, '127.0.0.1:8601', 'Push address of a control plane. Several are tried in turn.'),
  row('control-plane-insecure', '', parseFlag, 'false', 'Allows a control plane that is not on loopback without identity, whose connection nobody authenticates.'),
  row('identity', 'off|mtls', parseOneOf(['off', 'mtls']), 'mtls with a join token, off without', 'mtls: has a certificate of the control plane, and talks to it by mutual TLS only. See docs/identity.md.'),
  { ...row('join-token', 'TOKEN', parseJoin, '', 'Brings the first certificate: `remora token create` makes it. In the environment or a file, not as an argument, which others can read.'), secret: true },
  row('join-token-file', 'FILE', parseText, '', 'File with the join token. It may be missing once there is a certificate in data-dir.'),
  row('enrolment', 'HOST:PORT …', parseHostPort, 'port 8602 of each control plane', 'Where certificates come from. Several are tried in turn.'),
  { ...row('snapshot-key', 'KEY', parseKey, '', 'Encrypts what is kept in data-dir: 32 bytes in base64 or hexadecimal. In the environment only.'), secret: true },
  row('snapshot-key-file', 'FILE', parseText, '', 'File with that key.'),
  row('node-id', 'NAME', parseName, 'kept in data-dir', 'Name of this instance, unique in the mesh.'),
  row('label', 'KEY=VALUE …', parseLabel, '', 'Label of this instance, such as version=v2: Routes choose by it.'),
  row('locality', 'TEXT', parseText, '', 'Where this instance is, from wide to narrow: region/zone.'),
  row('app', '[NAME=]HOST:PORT …', parseNamed(parseHostPort, { bare: true }), '', 'Where the app serves a port of the Service. Without it there is no inbound side.'),
  row('inbound', '[NAME=][HOST:]PORT …', binding, '15006', 'Where the inbound side listens for a port of the Service. Bare: the port http, or the only one.'),
  row('outbound', '[HOST:]PORT|unix:PATH', parseOutbound, '127.0.0.1:15001', 'Where the app calls other services: as a proxy, or with their name as Host. A UNIX socket needs --workers 1.'),
  row('no-outbound', '', parseFlag, 'false', 'Runs without an outbound side.'),
  row('outbound-for', 'SERVICE[:PORT]=[HOST:]PORT …', parseNamed(parseBinding, { bare: false, name: parseDestination }), '', 'A port of its own for calls to one service, or to one of its ports: the way to those that carry TCP.'),
  row('listener', 'NAME=[HOST:]PORT …', parseNamed(parseBinding, { bare: false }), '', 'Gateways: binds a listener here instead of where its document says.'),
  row('listen-host', 'HOST', parseAddress, '0.0.0.0, or 127.0.0.1 where all control planes are on loopback', 'Address that the inbound side and Gateway listeners bind.'),
  row('advertise', '[NAME=]HOST[:PORT] …', parseNamed(parseAddress, { bare: true }), 'the address bound, or the first of this machine', 'Where callers reach the inbound side, if not where it listens.'),
  row('admin-port', '[HOST:]PORT', parseBinding, '127.0.0.1:15000', 'Admin interface: ready, live, metrics, snapshot, route, drain.'),
  row('admin-allow-remote', '', parseFlag, 'false', 'Allows the admin interface to bind an address that is not loopback. It has no authentication.'),
  row('health-port', '[HOST:]PORT', parseBinding, '', 'Answers GET /healthz, also to probes without a certificate of the mesh: 200 where the instance may get requests. Without a host: on listen-host.'),
  row('data-dir', 'DIR', parseText, '$XDG_STATE_HOME/remora/<kind>-<name>[-<node-id>]', 'Where snapshots and endpoints are kept, so that it starts without a control plane.'),
  row('workers', 'N', parseInteger(1, 64), '1', 'Data threads.'),
  row('memory-limit', 'MIB', parseInteger(64, 1_048_576), 'the limit of the container, where it has one', 'Memory of the process: load is shed from 90 % of it on.'),
  row('without-kind', 'KIND …', parseName, '', 'Behaves as an older build that does not know this policy kind.'),
  row('on-no-snapshot', 'wait|refuse', parseOneOf(['wait', 'refuse']), 'wait', 'With nothing to enforce, from disk or control plane, after start-timeout: answer 503 and wait, or end with exit code 75.'),
  row('start-timeout', 'DURATION', parseDuration, '30s', 'How long on-no-snapshot=refuse waits.'),
  row('drain-delay', 'DURATION', parseDuration, '5s', 'After SIGTERM without a control plane: how long callers get to notice.'),
  row('drain-timeout', 'DURATION', parseDuration, '30s', 'After SIGTERM: how long requests in flight may take.'),
  row('telemetry-interval', 'DURATION', parseDuration, '10s', 'How often figures are sent to the control plane. At least 1s.'),
  row('otlp-endpoint', 'URL', parseUrl, '', 'OTLP over HTTP: metrics go to URL/v1/metrics, spans to URL/v1/traces.'),
  row('otlp-spans', 'WHICH', parseOneOf(['requests', 'operations', 'none']), 'requests', 'Spans to send: of requests and of applying snapshots, only of applying snapshots, or none.'),
  row('otlp-sampling', 'RATIO', parseShare, '100%', 'Share of the traces beginning here that are recorded. A trace that arrives says itself whether it is.'),
  row('log-level', 'LEVEL', parseOneOf(logLevels), 'info', `Of the process's own log on standard error: ${logLevels.join(', ')}.`),
  row('settings', 'FILE', parseText, '', 'JSON file with settings by name; arguments and environment are stronger.'),
];

export function environmentName(row: Pick<SettingRow, 'name'>): string {
  return `REMORA_${row.name.toUpperCase().replaceAll('-', '_')}`;
}

/** Text of `remora sidecar --help`. */
export function settingsHelp(): string {
  const lines = settingTable.map((each) => {
    const usage = `  --${each.name}${each.placeholder === '' ? '' : ` ${each.placeholder}`}${each.repeatable ? ' …' : ''}`;
    const fallback = each.defaultText === '' ? '' : ` [${each.defaultText}]`;
    return `${usage}\n        ${each.help}${fallback}`;
  });
  return [
    'Usage: remora sidecar (--service NAME | --gateway NAME) [settings]',
    '',
    'Every setting can be an argument, a variable of the environment (REMORA_CONTROL_PLANE, several values joined by',
    'commas) or a key of a JSON file (--settings FILE); the first of these that has it wins.',
    '',
    ...lines,
    '',
  ].join('\n');
}

/** The page docs/settings-sidecar.md. */
export function settingsPage(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = settingTable.map((each) => {
    const value = each.placeholder === '' ? 'flag' : `\`${cell(each.placeholder)}\`${each.repeatable ? ', several' : ''}`;
    return `| \`--${each.name}\` | \`${environmentName(each)}\` | ${value} | ${cell(each.defaultText)} | ${cell(each.help)} |`;
  });
  return [
    '# Settings of a sidecar',
    '',
    'Made from `sidecar/src/settings/table.ts` by `npm run golden`. Arguments are stronger than the environment, which is',
    'stronger than the JSON file of `--settings` (keys as the arguments without `--`, lists for several values). YAML is not',
    'read here: a sidecar carries no YAML parser. In the environment several values are joined by commas. Everything that is',
    'wrong is reported at once.',
    '',
    '| argument | environment | value | default | what it does |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
