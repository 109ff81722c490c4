import type { Snapshot } from '@remora/snapshot/snapshot';
import { meshTermsOf } from '../listener/mesh-terms.ts';
import type { BoundListener, ListenerSpec } from '../threads/data-plane.ts';
import { partnerOf } from '../settings/build-settings.ts';
import type { HostPort, SidecarSettings } from '../settings/sidecar-settings.ts';

/** What should be bound: for a service by its settings alone, for a Gateway by its snapshot, which may be missing. */
export function planListeners(settings: SidecarSettings, snapshot: Snapshot | null): readonly ListenerSpec[] {
  return settings.subject.kind === 'gateway' ? planGateway(settings, snapshot) : planService(settings);
}

function planService(settings: SidecarSettings): readonly ListenerSpec[] {
  const specs: ListenerSpec[] = [];
  for (const [name, { host, port }] of settings.inbounds) {
    const app = partnerOf(name, settings.apps);
    if (!app) continue;
    // A bare --inbound with a named --app, or the other way round: the name that there is.
    const portName = name === '' ? onlyName(settings.apps) : name;
    specs.push({ name: portName === '' ? 'inbound' : `inbound/${portName}`, side: 'inbound', host, port, app, ...(portName === '' ? {} : { portName }) });
  }
  if (settings.outbound) specs.push({ name: 'outbound', side: 'outbound', ...settings.outbound });
  for (const [destination, { host, port }] of settings.outboundFor) {
    specs.push({ name: `outbound/${destination}`, side: 'outbound', host, port, destination });
  }
  return specs;
}

/** Listeners that the settings bind are there before the first snapshot too: they answer 503 until then. */
function planGateway(settings: SidecarSettings, snapshot: Snapshot | null): readonly ListenerSpec[] {
  const bindings = new Map(settings.listeners);
  for (const { name, port } of snapshot?.listeners.values() ?? []) {
    if (!bindings.has(name)) bindings.set(name, { host: settings.listenHost, port });
  }
  return [...bindings].map(([name, { host, port }]): ListenerSpec => ({ name: `gateway/${name}`, side: 'gateway', host, port, portName: name }));
}

export interface AdvertisedPort extends HostPort {
  readonly name: string;
  /** Its mode is `disabled`: it takes no mTLS. */
  readonly plaintext: boolean;
}

/**
 * Where callers reach the inbound side, by port name. A bare listener takes the name of the Service's port `http`, or of
 * its only one, once a snapshot says what ports there are; until then `http`.
 */
export function advertisedPorts(settings: SidecarSettings, bound: readonly BoundListener[], snapshot: Snapshot | null, ownAddress: string): readonly AdvertisedPort[] {
  const ports: AdvertisedPort[] = [];
  for (const listener of bound) {
    if (listener.name !== 'inbound' && !listener.name.startsWith('inbound/')) continue;
    const name = listener.name === 'inbound' ? barePortName(snapshot) : listener.name.slice('inbound/'.length);
    const told = settings.advertise.get(name) ?? settings.advertise.get('');
    const host = told?.host ?? (isUnspecified(listener.host) ? ownAddress : listener.host);
    const own = snapshot?.inbounds.get(name);
    const plaintext = own !== undefined && meshTermsOf(own.settings, name).mode === 'disabled';
    ports.push({ name, host, port: told && told.port !== 0 ? told.port : listener.port, plaintext });
  }
  return ports;
}

function barePortName(snapshot: Snapshot | null): string {
  const names = [...(snapshot?.inbounds.keys() ?? [])];
  return names.length === 1 && names[0] !== undefined ? names[0] : 'http';
}

function onlyName(apps: ReadonlyMap<string, HostPort>): string {
  const [name] = apps.keys();
  return apps.size === 1 && name !== undefined ? name : '';
}

function isUnspecified(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
