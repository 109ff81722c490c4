import { labels, named } from '@remora/model/names';
import { z } from 'zod';
import { parse } from 'yaml';
import type { SourceTarget } from '../discovery-source.ts';
import type { FoundInstance } from '../found-instance.ts';

const portNumber = z.int().min(1).max(65_535);

/** What a file of endpoints says: a list, or a map with a list of that name. */
const fileEndpoint = z.strictObject({
  id: named(/^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$/, 'an id of letters, digits and ._:/@-, at most 200 characters', 200).optional(),
  address: z.string().min(1).max(253),
  port: portNumber.optional(),
  ports: z.record(z.string(), portNumber).optional(),
  weight: z.int().min(0).max(1_000_000).optional(),
  backup: z.boolean().optional(),
  draining: z.boolean().optional(),
  labels: labels().optional(),
  locality: z.string().max(253).optional(),
});
const endpointFile = z.strictObject({ endpoints: z.array(fileEndpoint).max(10_000) });

export type EndpointFileResult = { readonly ok: true; readonly instances: readonly FoundInstance[] } | { readonly ok: false; readonly message: string };

/** Reads YAML 1.2 or JSON. Whatever is wrong with it, the whole file is refused, with the first places named: half of a list would be another list. */
export function readEndpointFile(text: string, target: Pick<SourceTarget, 'ports'>): EndpointFileResult {
  let value: unknown;
  try {
    // Aliases could make a small file a large one, and a list of endpoints needs none.
    value = parse(text, { maxAliasCount: 0, logLevel: 'error', uniqueKeys: true });
  } catch (error) {
    return { ok: false, message: `is neither YAML nor JSON: ${(error as Error).message.split('\n', 1)[0] ?? ''}` };
  }
  const read = endpointFile.safeParse(value);
  if (!read.success) return { ok: false, message: read.error.issues.slice(0, 5).map(({ path, message }) => `/${path.join('/')}: ${message}`).join('; ') };
  const { endpoints } = read.data;
  const wrong = endpoints.flatMap((endpoint, i) => wrongPorts(endpoint, i, target)).slice(0, 5);
  if (wrong.length > 0) return { ok: false, message: wrong.join('; ') };
  const instances = endpoints.map((endpoint) => instanceOf(endpoint, target));
  const ids = new Set<string>();
  for (const [i, { id }] of instances.entries()) {
    if (ids.has(id)) return { ok: false, message: `/endpoints/${i}: ${id} is listed twice` };
    ids.add(id);
  }
  return { ok: true, instances };
}

function wrongPorts({ port, ports }: z.infer<typeof fileEndpoint>, i: number, target: Pick<SourceTarget, 'ports'>): string[] {
  const names = target.ports.map(({ name }) => name);
  const wrong = Object.keys(ports ?? {}).filter((name) => !names.includes(name)).map((name) => `/endpoints/${i}/ports/${name}: the service has no port ${name}, but ${names.join(', ')}`);
  if (port !== undefined && ports !== undefined) wrong.push(`/endpoints/${i}/port: give port or ports, not both`);
  if (port !== undefined && names.length > 1) wrong.push(`/endpoints/${i}/port: the service has several ports; say which in ports`);
  return wrong;
}

function instanceOf({ id, address, port, ports, weight, backup, draining, labels: ownLabels, locality }: z.infer<typeof fileEndpoint>, target: Pick<SourceTarget, 'ports'>): FoundInstance {
  const own = target.ports.map((one) => ({ name: one.name, host: address, port: (ports !== undefined && Object.hasOwn(ports, one.name) ? ports[one.name] : undefined) ?? port ?? one.port }));
  return { id: id ?? `${address}:${own[0]?.port ?? 0}`, ports: own, labels: ownLabels ?? {}, locality: locality ?? '', weight: weight ?? 1, backup: backup ?? false, draining: draining ?? false };
}
