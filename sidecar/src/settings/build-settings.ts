import { join } from 'node:path';
import type { Subject } from '@remora/core/subject';
import { readEncryptionKey } from '@remora/identity/encryption-key';
import { parseJoinToken, type JoinToken } from '@remora/identity/join-token';
import type { LogLevel } from '../telemetry/log.ts';
import type { Named } from './parsers.ts';
import type { SettingProblem, SettingSources, SettingValues } from './read-settings.ts';
import type { HostPort, IdentitySettings, SidecarSettings } from './sidecar-settings.ts';

const defaults = { controlPlanePort: 8601, enrolmentPort: 8602, inboundPort: 15_006, outboundPort: 15_001, adminPort: 15_000 };

/** Puts defaults in and checks the settings against each other. Not to be used where there are problems. */
export function buildSettings(
  values: ReadonlyMap<string, SettingValues>,
  { env, readFile }: Pick<SettingSources, 'env' | 'readFile'>,
  problems: SettingProblem[],
): SidecarSettings {
  const read = new Reader(values, problems);
  const subject = readSubject(read);
  const controlPlanes = read.hostPorts('control-plane');
  const addresses = controlPlanes.length > 0 ? controlPlanes : [{ host: '127.0.0.1', port: defaults.controlPlanePort }];
  const identity = readIdentity(read, addresses, readFile);
  if (!identity) checkControlPlanes(addresses, read);
  const local = addresses.every(({ host }) => isLoopback(host));
  const listenHost = read.hostPort('listen-host')?.host ?? (local ? '127.0.0.1' : '0.0.0.0');
  const sides = readSides(read, subject, listenHost);
  const admin = bound(read.hostPort('admin-port'), { host: '127.0.0.1', port: defaults.adminPort });
  const adminAllowRemote = read.flag('admin-allow-remote');
  if (!adminAllowRemote && !isLoopback(admin.host)) {
    read.fail('admin-port', `binds ${admin.host}, which is not loopback; the admin interface has no authentication. --admin-allow-remote allows it`);
  }
  if ((read.number('workers') ?? 1) > 1 && sides.outbound?.host.startsWith('unix:') === true) read.fail('outbound', 'is a UNIX socket, which one data thread alone can serve: --workers 1, or a port');
  const nodeId = read.text('node-id') ?? '';
  const telemetryIntervalMs = read.number('telemetry-interval') ?? 10_000;
  if (telemetryIntervalMs < 1_000) read.fail('telemetry-interval', 'must be at least 1s');
  return {
    subject,
    controlPlanes: addresses.map(joinHostPort),
    nodeId,
    labels: readLabels(read),
    locality: read.text('locality') ?? '',
    ...sides,
    listenHost,
    advertise: read.namedHostPorts('advertise'),
    admin,
    adminAllowRemote,
    health: readHealth(read, listenHost),
    dataDir: read.text('data-dir') ?? defaultDataDir(subject, nodeId, env),
    workers: read.number('workers') ?? 1,
    memoryLimitBytes: (read.number('memory-limit') ?? 0) * 1024 * 1024,
    withoutKinds: read.texts('without-kind'),
    onNoSnapshot: read.text('on-no-snapshot') === 'refuse' ? 'refuse' : 'wait',
    startTimeoutMs: read.number('start-timeout') ?? 30_000,
    drainDelayMs: read.number('drain-delay') ?? 5_000,
    drainTimeoutMs: read.number('drain-timeout') ?? 30_000,
    telemetryIntervalMs,
    ...readOtlp(read),
    logLevel: (read.text('log-level') as LogLevel | undefined) ?? 'info',
    identity,
    diskKey: readDiskKey(read, readFile),
  };
}

/** Values by name; the table's parsers made them, so their types are known here. */
class Reader {
  readonly #values: ReadonlyMap<string, SettingValues>;
  readonly #problems: SettingProblem[];

  constructor(values: ReadonlyMap<string, SettingValues>, problems: SettingProblem[]) {
    this.#values = values;
    this.#problems = problems;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  texts(name: string): readonly string[] {
    return this.#all(name) as readonly string[];
  }

  text(name: string): string | undefined {
    return this.texts(name)[0];
  }

  /** Where a value was given: `--name`, the environment, a file. */
  source(name: string): string {
    return this.#values.get(name)?.source ?? '';
  }

  key(): Buffer | undefined {
    return this.#all('snapshot-key')[0] as Buffer | undefined;
  }

  join(): JoinToken | undefined {
    return this.#all('join-token')[0] as JoinToken | undefined;
  }

  hostPorts(name: string): readonly HostPort[] {
    return this.#all(name) as readonly HostPort[];
  }

  hostPort(name: string): HostPort | undefined {
    return this.hostPorts(name)[0];
  }

  number(name: string): number | undefined {
    return this.#all(name)[0] as number | undefined;
  }

  flag(name: string): boolean {
    return (this.#all(name)[0] as boolean | undefined) ?? false;
  }

  namedHostPorts(name: string): Map<string, HostPort> {
    return this.#named(name) as Map<string, HostPort>;
  }

  namedTexts(name: string): Map<string, string> {
    return this.#named(name) as Map<string, string>;
  }

  fail(name: string, message: string): void {
    this.#problems.push({ setting: this.#values.get(name)?.source ?? `--${name}`, message });
  }

  #all(name: string): readonly unknown[] {
    return this.#values.get(name)?.values ?? [];
  }

  #named(name: string): Map<string, unknown> {
    const map = new Map<string, unknown>();
    for (const item of this.#all(name) as readonly Named<unknown>[]) {
      if (map.has(item.name)) this.fail(name, item.name === '' ? 'is given without a name more than once' : `names ${item.name} more than once`);
      map.set(item.name, item.value);
    }
    return map;
  }
}

/** What only matters with an endpoint is refused without one: it would do nothing. */
function readOtlp(read: Reader): Pick<SidecarSettings, 'otlpEndpoint' | 'otlpSpans' | 'otlpSampling'> {
  const otlpEndpoint = read.text('otlp-endpoint') ?? '';
  for (const name of ['otlp-spans', 'otlp-sampling']) if (otlpEndpoint === '' && read.has(name)) read.fail(name, 'needs --otlp-endpoint: where do spans go?');
  const spans = read.text('otlp-spans') as SidecarSettings['otlpSpans'] | undefined;
  return { otlpEndpoint, otlpSpans: spans ?? 'requests', otlpSampling: read.number('otlp-sampling') ?? 1 };
}

function readSubject(read: Reader): Subject {
  const service = read.text('service');
  const gateway = read.text('gateway');
  if (service !== undefined && gateway !== undefined) read.fail('gateway', 'cannot be combined with --service: a sidecar runs for one of them');
  if (service !== undefined) return { kind: 'service', name: service };
  if (gateway !== undefined) return { kind: 'gateway', name: gateway };
  if (!read.has('service') && !read.has('gateway')) read.fail('service', 'or --gateway is needed: for what does this sidecar run?');
  return { kind: 'service', name: '' };
}

/** A file that is not there is no mistake: the token was used, and taken away. Where the certificate is missing too, the log says so. */
function readIdentity(read: Reader, controlPlanes: readonly HostPort[], readFile: SettingSources['readFile']): IdentitySettings | null {
  const file = read.text('join-token-file');
  const given = read.join();
  if (read.has('join-token') && file !== undefined) read.fail('join-token-file', 'there is a join-token too: which one?');
  const chosen = read.text('identity') ?? (read.has('join-token') || file !== undefined ? 'mtls' : 'off');
  if (chosen === 'off') {
    for (const name of ['join-token', 'join-token-file', 'enrolment']) if (read.has(name)) read.fail(name, 'does nothing without --identity mtls');
    return null;
  }
  const addresses = read.hostPorts('enrolment');
  return {
    token: given ?? (file === undefined ? null : readTokenFile(read, file, readFile)),
    enrolment: addresses.length > 0 ? addresses : controlPlanes.map(({ host }) => ({ host, port: defaults.enrolmentPort })),
  };
}

/** A key that cannot be read stops the start: without it the disk would be written in the open. */
function readDiskKey(read: Reader, readFile: SettingSources['readFile']): Buffer | null {
  const file = read.text('snapshot-key-file');
  if (read.has('snapshot-key') && file !== undefined) read.fail('snapshot-key-file', 'there is a key in snapshot-key too: which one?');
  if (read.source('snapshot-key').startsWith('--')) read.fail('snapshot-key', 'as an argument everybody on the host can read it: give REMORA_SNAPSHOT_KEY, or --snapshot-key-file');
  if (file === undefined) return read.key() ?? null;
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    read.fail('snapshot-key-file', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
    return null;
  }
  const key = readEncryptionKey(text);
  if (typeof key !== 'string') return key;
  read.fail('snapshot-key-file', `${file} ${key}`);
  return null;
}

function readTokenFile(read: Reader, file: string, readFile: SettingSources['readFile']): JoinToken | null {
  let text: string;
  try {
    text = readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') read.fail('join-token-file', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
    return null;
  }
  const token = parseJoinToken(text);
  if (typeof token !== 'string') return token;
  read.fail('join-token-file', `${file} ${token}`);
  return null;
}

function checkControlPlanes(addresses: readonly HostPort[], read: Reader): void {
  if (read.flag('control-plane-insecure')) return;
  for (const { host } of addresses) {
    if (isLoopback(host)) continue;
    read.fail('control-plane', `${host} is not loopback, and without identity nobody authenticates the connection: give a join token (--join-token-file), or allow it with --control-plane-insecure`);
  }
}

type Sides = Pick<SidecarSettings, 'apps' | 'inbounds' | 'outbound' | 'outboundFor' | 'listeners'>;

function readSides(read: Reader, subject: Subject, listenHost: string): Sides {
  const listeners = withHost(read.namedHostPorts('listener'), listenHost);
  if (subject.kind === 'gateway') {
    for (const name of ['app', 'inbound', 'outbound', 'no-outbound', 'outbound-for', 'advertise']) {
      if (read.has(name)) read.fail(name, 'is for services; a Gateway has listeners');
    }
    return { apps: new Map(), inbounds: new Map(), outbound: null, outboundFor: new Map(), listeners };
  }
  if (listeners.size > 0) read.fail('listener', 'is for Gateways; use --inbound');
  const apps = read.namedHostPorts('app');
  const noOutbound = read.flag('no-outbound');
  if (noOutbound && (read.has('outbound') || read.has('outbound-for'))) read.fail('no-outbound', 'contradicts --outbound and --outbound-for');
  return {
    apps,
    inbounds: readInbounds(read, apps, listenHost),
    outbound: noOutbound ? null : bound(read.hostPort('outbound'), { host: '127.0.0.1', port: defaults.outboundPort }),
    outboundFor: withHost(read.namedHostPorts('outbound-for'), '127.0.0.1'),
    listeners,
  };
}

function readInbounds(read: Reader, apps: ReadonlyMap<string, HostPort>, listenHost: string): Map<string, HostPort> {
  const inbounds = withHost(read.namedHostPorts('inbound'), listenHost);
  const [onlyApp] = apps.keys();
  if (inbounds.size === 0 && apps.size === 1 && onlyApp !== undefined) inbounds.set(onlyApp, { host: listenHost, port: defaults.inboundPort });
  if (apps.size > 1 && apps.has('')) read.fail('app', 'has several values; each needs a name: NAME=HOST:PORT');
  if (inbounds.size > 1 && inbounds.has('')) read.fail('inbound', 'has several values; each needs a name: NAME=PORT');
  for (const [name, { host, port }] of apps) if (port === 0) read.fail('app', `${name === '' ? host : name} needs a port`);
  for (const name of inbounds.keys()) if (!partnerOf(name, apps)) read.fail('inbound', `${label(name)} has no --app: what does it forward to?`);
  for (const name of apps.keys()) if (!partnerOf(name, inbounds)) read.fail('app', `${label(name)} has no --inbound: where does it listen?`);
  return inbounds;
}

/** The value for the same port name; a bare value belongs to the only one. */
export function partnerOf<T>(name: string, others: ReadonlyMap<string, T>): T | undefined {
  const exact = others.get(name);
  if (exact !== undefined) return exact;
  if (others.size !== 1) return undefined;
  const [entry] = others;
  return name === '' || entry?.[0] === '' ? entry?.[1] : undefined;
}

function readLabels(read: Reader): Record<string, string> {
  const labels = Object.create(null) as Record<string, string>;
  for (const [name, value] of read.namedTexts('label')) labels[name] = value;
  if (Object.keys(labels).length > 64) read.fail('label', 'has more than 64 values');
  return labels;
}

function withHost(bindings: ReadonlyMap<string, HostPort>, host: string): Map<string, HostPort> {
  return new Map([...bindings].map(([name, binding]) => [name, bound(binding, { host, port: 0 })]));
}

function readHealth(read: Reader, listenHost: string): HostPort | null {
  const binding = read.hostPort('health-port');
  return binding === undefined ? null : bound(binding, { host: listenHost, port: binding.port });
}

function bound(binding: HostPort | undefined, fallback: HostPort): HostPort {
  if (!binding) return fallback;
  return { host: binding.host === '' ? fallback.host : binding.host, port: binding.port };
}

function label(name: string): string {
  return name === '' ? 'the value' : `port ${name}`;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

export function joinHostPort({ host, port }: HostPort): string {
  if (host.startsWith('unix:')) return host;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Below the user's state directory; instances with names of their own do not share one. */
function defaultDataDir(subject: Subject, nodeId: string, env: Readonly<Record<string, string | undefined>>): string {
  const base = env['XDG_STATE_HOME'] ?? join(env['HOME'] ?? '.', '.local', 'state');
  return join(base, 'remora', `${subject.kind}-${subject.name}${nodeId === '' ? '' : `-${nodeId}`}`);
}
