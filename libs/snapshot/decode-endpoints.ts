import { EndpointSet as WireSet, type Endpoint } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { FieldCheck } from './field-check.ts';
import { SnapshotErrors, type SnapshotError } from './snapshot-error.ts';

/** All instances of one service, as this sidecar may see them. An empty set means there are none. */
export interface EndpointSet {
  readonly service: string;
  /** Sorted by id. */
  readonly endpoints: readonly ServiceEndpoint[];
}

export interface EndpointPort {
  readonly host: string;
  readonly port: number;
  /** What is spoken there: `http/1.1`, `h2c`. */
  readonly protocols: readonly string[];
  /** It takes no mTLS, also where the endpoint does. */
  readonly plaintext?: true;
}

export interface ServiceEndpoint {
  readonly id: string;
  /** By port name. */
  readonly ports: ReadonlyMap<string, EndpointPort>;
  /** As `key=value`, sorted. */
  readonly labels: readonly string[];
  readonly locality: string;
  readonly weight: number;
  readonly backup: boolean;
  /** Its source lost most of its instances at once: used last. */
  readonly suspect: boolean;
  readonly draining: boolean;
  readonly mtls: boolean;
  readonly source: string;
}

export type EndpointsResult =
  | { readonly ok: true; readonly set: EndpointSet }
  | { readonly ok: false; readonly errors: readonly SnapshotError[] };

export const endpointsMax = 65_536;

/** Turns one encoded endpoint set into a frozen one, or says what is wrong with it. */
export function decodeEndpointSet(bytes: Uint8Array): EndpointsResult {
  try {
    return checkEndpointSet(WireSet.decode(bytes));
  } catch {
    const error = { resource: 'endpoints', kind: '', pointer: '', code: 'undecodable', message: 'the endpoint set cannot be read', policies: [] };
    return { ok: false, errors: [error] };
  }
}

export function checkEndpointSet(wire: WireSet): EndpointsResult {
  const errors = new SnapshotErrors();
  const check = new FieldCheck(errors, `endpoints of ${wire.service}`);
  check.required(wire.service, '/service');
  check.count(wire.endpoints, '/endpoints', endpointsMax);
  if (errors.any) return { ok: false, errors: errors.list() };
  const seen = new Set<string>();
  const endpoints = wire.endpoints.map((endpoint, i) => {
    if (seen.has(endpoint.id)) check.fail(`/endpoints/${i}/id`, 'duplicate', `${endpoint.id} is listed twice`);
    seen.add(endpoint.id);
    return checkEndpoint(endpoint, `/endpoints/${i}`, check);
  });
  if (errors.any) return { ok: false, errors: errors.list() };
  endpoints.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { ok: true, set: Object.freeze({ service: wire.service, endpoints: Object.freeze(endpoints) }) };
}

function checkEndpoint(wire: Endpoint, pointer: string, check: FieldCheck): ServiceEndpoint {
  check.count(wire.ports, `${pointer}/ports`, 64);
  check.count(wire.labels, `${pointer}/labels`, 64);
  const usual = check.texts(wire.protocols, `${pointer}/protocols`);
  const ports = new Map<string, EndpointPort>();
  for (const { name, host, port, protocols, plaintext } of wire.ports) {
    const at = `${pointer}/ports/${name}`;
    ports.set(check.required(name, at), Object.freeze({
      host: check.required(host, `${at}/host`),
      port: check.range(port, `${at}/port`, { min: 1, max: 65_535 }),
      protocols: protocols.length === 0 ? usual : check.texts(protocols, `${at}/protocols`),
      ...(plaintext === true && { plaintext }),
    }));
  }
  return Object.freeze({
    id: check.required(wire.id, `${pointer}/id`),
    ports,
    labels: Object.freeze(wire.labels.map(({ key, value }) => `${check.required(key, `${pointer}/labels`)}=${check.text(value, `${pointer}/labels`)}`).sort()),
    locality: check.text(wire.locality, `${pointer}/locality`),
    weight: check.range(wire.weight, `${pointer}/weight`, { min: 0, max: 1_000_000 }),
    backup: wire.backup,
    suspect: wire.suspect,
    draining: wire.draining,
    mtls: wire.mtls,
    source: check.text(wire.source, `${pointer}/source`),
  });
}
