import type { HealthCheckSettings } from '@remora/policy-health-check/wire';
import { policiesOfField } from '@remora/snapshot/effective-settings';
import type { CallDestination, DestinationPort, PortProtocol, Snapshot } from '@remora/snapshot/snapshot';
import type { KnownHost } from '../upstream/host-slots.ts';
import type { ProbeQuestion } from './health-probe.ts';

/** How the hosts of one service are checked. */
export interface ServiceChecks {
  readonly settings: HealthCheckSettings;
  readonly shadow: boolean;
  /** The policy that set a field; '' for a default. */
  readonly policyBehind: (pointer: string) => string;
  readonly ports: ReadonlyMap<string, DestinationPort>;
}

/** Of the services that the snapshot lets this sidecar call, those whose hosts are to be checked. */
export function healthChecksOf(snapshot: Snapshot): ReadonlyMap<string, ServiceChecks> {
  return new Map([...snapshot.destinations.values()].flatMap((destination) => {
    const checks = checksOf(destination);
    return checks === null ? [] : [[destination.service, checks]];
  }));
}

function checksOf({ settings, ports }: CallDestination): ServiceChecks | null {
  const section = settings.sections.find(({ kind }) => kind === 'healthCheck');
  if (section === undefined) return null;
  return {
    settings: section.settings as HealthCheckSettings, shadow: section.shadow,
    policyBehind: (pointer) => policiesOfField(section.origins, pointer)[0] ?? '',
    ports: new Map(ports.map((port) => [port.name, port])),
  };
}

/** What a host is asked; null: it has no such port, so nobody can ask. `hosts`: all of the service. */
export function questionFor(host: KnownHost, { settings, ports }: ServiceChecks, hosts: readonly KnownHost[]): ProbeQuestion | null {
  const asked = settings.port === '' ? host : hosts.find(({ id, port }) => id === host.id && port === settings.port);
  if (asked === undefined) return null;
  const port = ports.get(asked.port);
  return {
    host: asked, settings, protocol: askedProtocol(port?.protocol, settings),
    // A sidecar takes both.
    http2: asked.endpoint.source !== 'lease' && speaksHttp2(port?.protocol), tls: port?.tls ?? null, proxyProtocol: port?.proxyProtocol ?? 0,
  };
}

/** What is spoken in checks of a port that carries this; undefined: nobody says what it carries. */
export function askedProtocol(carried: PortProtocol | undefined, { protocol }: Pick<HealthCheckSettings, 'protocol'>): ProbeQuestion['protocol'] {
  if (protocol !== '') return protocol;
  if (carried === 'grpc') return 'grpc';
  return carried === undefined || carried === 'tcp' || carried === 'tls' ? 'tcp' : 'http';
}

export function speaksHttp2(carried: PortProtocol | undefined): boolean {
  return carried === 'http2' || carried === 'grpc';
}
