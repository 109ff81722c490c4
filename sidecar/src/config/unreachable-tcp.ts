import type { Snapshot } from '@remora/snapshot/snapshot';
import type { SidecarSettings } from '../settings/sidecar-settings.ts';

/**
 * Ports of destinations that carry TCP and that the app has no way to, as `--outbound-for` would name them: requests find their destination by their host,
 * connections only by the port that they come in by.
 */
export function unreachableTcp(settings: SidecarSettings, snapshot: Snapshot): readonly string[] {
  if (settings.subject.kind !== 'service' || settings.outbound === null) return [];
  const missing: string[] = [];
  for (const { service, ports } of snapshot.destinations.values()) {
    for (const { port, protocol } of ports) {
      if (protocol !== 'tcp' && protocol !== 'tls') continue;
      const name = `${service}:${port}`;
      if (!settings.outboundFor.has(name) && !(ports.length === 1 && settings.outboundFor.has(service))) missing.push(name);
    }
  }
  return missing.sort();
}
