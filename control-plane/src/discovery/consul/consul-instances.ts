import { z } from 'zod';
import type { SourceTarget } from '../discovery-source.ts';
import type { FoundInstance } from '../found-instance.ts';
import { labelsOf } from '../found-labels.ts';

const locality = z.object({ Region: z.string().nullish(), Zone: z.string().nullish() }).nullish();

/** What is read of an entry of `/v1/health/service/NAME`. */
const entry = z.object({
  Node: z.object({ Node: z.string(), Address: z.string(), Datacenter: z.string().nullish(), Locality: locality }),
  Service: z.object({
    ID: z.string(), Address: z.string().nullish(), Port: z.number(), Tags: z.array(z.string()).nullish(), Meta: z.record(z.string(), z.string()).nullish(),
    Weights: z.object({ Passing: z.number(), Warning: z.number() }).nullish(), Locality: locality,
  }),
  Checks: z.array(z.object({ CheckID: z.string(), Status: z.string() })).nullish(),
});

type Entry = z.infer<typeof entry>;

/** Metadata `remora-port-NAME` is the port NAME of an instance, for Services with several. */
const portPrefix = 'remora-port-';

/**
 * Instances that can be called: critical ones are left out, those in maintenance are leaving, and those that warn have their weight for that. Metadata and tags
 * (`version=v2`, or a word alone) are labels; zone, or datacentre, is the locality.
 */
export function consulInstances(body: unknown, target: SourceTarget): { readonly instances: readonly FoundInstance[]; readonly problems: readonly string[] } {
  if (!Array.isArray(body)) throw new Error('its answer is no list of instances');
  const problems: string[] = [];
  const instances = body.flatMap((value: unknown, i): FoundInstance[] => {
    const read = entry.safeParse(value);
    if (read.success) return instanceOf(read.data, target, problems);
    const [first] = read.error.issues;
    problems.push(`entry ${i}: /${first?.path.join('/') ?? ''}: ${first?.message ?? 'cannot be read'}`);
    return [];
  });
  return { instances, problems };
}

function instanceOf({ Node: node, Service: service, Checks: checks }: Entry, target: SourceTarget, problems: string[]): FoundInstance[] {
  const id = `${node.Node}/${service.ID}`;
  const health = healthOf(checks ?? []);
  if (health === 'critical') return [];
  const host = service.Address || node.Address;
  const { labels, problem } = labelsOf([...(service.Tags ?? []).map(tagLabel), ...Object.entries(service.Meta ?? {}).filter(([key]) => !key.startsWith(portPrefix))]);
  if (problem !== '') problems.push(`${id}: ${problem}`);
  return [{
    id, ports: portsOf(service, host, target), labels, locality: placeOf(service.Locality) || placeOf(node.Locality) || (node.Datacenter ?? ''),
    weight: health === 'warning' ? (service.Weights?.Warning ?? 1) : (service.Weights?.Passing ?? 1), backup: false, draining: health === 'maintenance',
  }];
}

type Health = 'passing' | 'warning' | 'critical' | 'maintenance';

/** The worst of them. Consul itself marks maintenance by a critical check of a name of its own. */
function healthOf(checks: readonly { readonly CheckID: string; readonly Status: string }[]): Health {
  let worst: Health = 'passing';
  for (const { CheckID, Status } of checks) {
    if (CheckID === '_node_maintenance' || CheckID.startsWith('_service_maintenance')) return 'maintenance';
    if (Status === 'critical') worst = 'critical';
    else if (Status === 'warning' && worst === 'passing') worst = 'warning';
  }
  return worst;
}

/** The port in Consul is the one that the document says, or its only one. Others are in the metadata, or as the document has them. */
function portsOf(service: Entry['Service'], host: string, { ports, discovery }: SourceTarget): FoundInstance['ports'] {
  const main = discovery.consul?.port ?? ports[0]?.name;
  return ports.map(({ name, port }) => {
    const told = service.Meta?.[`${portPrefix}${name}`];
    return { name, host, port: told !== undefined ? Number(told) : name === main ? service.Port : port };
  });
}

function tagLabel(tag: string): readonly [string, string] {
  const at = tag.indexOf('=');
  return at < 0 ? [tag, 'true'] : [tag.slice(0, at), tag.slice(at + 1)];
}

function placeOf(place: z.infer<typeof locality>): string {
  return [place?.Region, place?.Zone].filter((part) => typeof part === 'string' && part !== '').join('/');
}
