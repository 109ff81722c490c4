import { z } from 'zod';
import type { SourceTarget } from '../discovery-source.ts';
import type { FoundInstance } from '../found-instance.ts';
import { labelsOf } from '../found-labels.ts';

/** What is read of an EndpointSlice (discovery.k8s.io/v1). */
export const endpointSlice = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string().nullish(), resourceVersion: z.string().nullish(), labels: z.record(z.string(), z.string()).nullish() }),
  addressType: z.string(),
  endpoints: z.array(z.object({
    addresses: z.array(z.string()),
    conditions: z.object({ ready: z.boolean().nullish(), serving: z.boolean().nullish(), terminating: z.boolean().nullish() }).nullish(),
    zone: z.string().nullish(),
    nodeName: z.string().nullish(),
    targetRef: z.object({ kind: z.string().nullish(), name: z.string().nullish() }).nullish(),
  })).nullish(),
  ports: z.array(z.object({ name: z.string().nullish(), port: z.number().nullish(), protocol: z.string().nullish() })).nullish(),
});

export type EndpointSlice = z.infer<typeof endpointSlice>;
type SliceEndpoint = NonNullable<EndpointSlice['endpoints']>[number];

/** Label of the Service on its slices. */
export const serviceLabel = 'kubernetes.io/service-name';

/**
 * Instances of all slices of a Service. One that is ready is called; one that terminates and still serves is leaving; others are left out. A pod with addresses of both
 * families, or in two slices for a moment, is one instance: IPv4 and the better condition win.
 */
export function sliceInstances(slices: Iterable<EndpointSlice>, target: SourceTarget): { readonly instances: readonly FoundInstance[]; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const found = new Map<string, FoundInstance>();
  const ordered = [...slices].sort((a, b) => (a.addressType === b.addressType ? (a.metadata.name < b.metadata.name ? -1 : 1) : a.addressType < b.addressType ? -1 : 1));
  for (const slice of ordered) {
    if (slice.addressType !== 'IPv4' && slice.addressType !== 'IPv6') {
      problems.push(`${slice.metadata.name}: addresses of type ${slice.addressType.slice(0, 40)} are not used`);
      continue;
    }
    for (const endpoint of slice.endpoints ?? []) {
      const instance = instanceOf(slice, endpoint, target, problems);
      if (instance === null) continue;
      const known = found.get(instance.id);
      if (!known || (known.draining && !instance.draining)) found.set(instance.id, instance);
    }
  }
  return { instances: [...found.values()], problems };
}

function instanceOf(slice: EndpointSlice, endpoint: SliceEndpoint, target: SourceTarget, problems: string[]): FoundInstance | null {
  const { conditions, addresses: [host], targetRef, zone, nodeName } = endpoint;
  // Unknown means ready (the API's own words).
  const ready = conditions?.ready ?? true;
  const leaving = !ready && conditions?.terminating === true && conditions.serving === true;
  if (host === undefined || (!ready && !leaving)) return null;
  const name = targetRef?.kind === 'Pod' && targetRef.name ? targetRef.name : host;
  const ports = portsOf(slice, host, target);
  if (ports.length === 0) problems.push(`${slice.metadata.name}: none of its ports is one of ${target.ports.map((one) => one.name).join(', ')}; \`ports\` says which is which`);
  const { labels } = labelsOf([
    ...Object.entries(slice.metadata.labels ?? {}).filter(([key]) => !/(?:^|\.)(?:kubernetes|k8s)\.io\//.test(key)),
    ...(nodeName ? [['kubernetes.io/hostname', nodeName] as const] : []),
  ]);
  return { id: `${slice.metadata.namespace ?? ''}/${name}`, ports, labels, locality: zone ?? '', weight: 1, backup: false, draining: leaving };
}

function portsOf({ ports }: EndpointSlice, host: string, target: SourceTarget): FoundInstance['ports'] {
  const offered = (ports ?? []).filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP');
  const named = target.discovery.kubernetes?.ports ?? {};
  return target.ports.flatMap(({ name }) => {
    const wanted = Object.hasOwn(named, name) ? named[name] : undefined;
    const only = wanted === undefined && target.ports.length === 1 && offered.length === 1 ? offered[0] : undefined;
    const port = (offered.find((one) => (one.name ?? '') === (wanted ?? name)) ?? only)?.port;
    return typeof port === 'number' ? [{ name, host, port }] : [];
  });
}
