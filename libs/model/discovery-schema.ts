import { duration, oneOf } from '@remora/policy-kit/scalars';
import { parseDurationMs } from '@remora/core/units';
import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { issue } from './issue.ts';
import { boundedRecord, labels, named, portName } from './names.ts';

const portNumber = z.int().min(1).max(65_535);

const dnsName = named(
  /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$/,
  'a DNS name such as payments.internal or _http._tcp.payments.internal', 254,
);

const consulWord = (what: string): z.ZodString => named(/^[A-Za-z0-9_.-]{1,128}$/, what, 128);

const kubernetesName = (what: string): z.ZodString => named(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/, what, 253);

const dnsSettings = z.strictObject({
  name: dnsName.meta({ description: 'what is asked for' }),
  records: oneOf(['addresses', 'srv']).optional().meta({ description: '`addresses`: A and AAAA records, at the ports of this document; `srv`: SRV records, which bring ports, priorities and weights; default addresses' }),
  addresses: oneOf(['auto', 'ipv4', 'ipv6', 'both']).optional().meta({ description: '`auto`: A records, and AAAA where there are none; default auto' }),
  port: portNumber.optional().meta({ description: 'where the service has one port and these endpoints listen on another' }),
  ports: boundedRecord(portName(), portNumber, { max: documentLimits.ports, what: 'ports' }).optional(),
  minTtl: duration({ min: 1_000, max: 3_600_000 }).optional().meta({ description: 'asked again not before, whatever the answer says; default 5s' }),
  maxTtl: duration({ min: 1_000, max: 86_400_000 }).optional().meta({ description: 'asked again at the latest; default 5m' }),
  labels: labels().optional().meta({ description: 'of every endpoint found' }),
  locality: z.string().max(253).optional().meta({ description: 'of every endpoint found' }),
});

const consulSettings = z.strictObject({
  service: consulWord('the name of a Consul service').optional().meta({ description: 'default the name of this Service' }),
  datacentre: consulWord('the name of a datacentre').optional().meta({ description: 'default that of the agent' }),
  namespace: consulWord('the name of a namespace').optional(),
  partition: consulWord('the name of a partition').optional(),
  tags: z.array(z.string().min(1).max(128)).min(1).max(16).optional().meta({ description: 'only instances that have all of them' }),
  port: portName().optional().meta({ description: 'the port of this document that the port in Consul is; needed where there are several' }),
});

const kubernetesSettings = z.strictObject({
  service: kubernetesName('the name of a Kubernetes Service').optional().meta({ description: 'default the name of this Service' }),
  namespace: kubernetesName('the name of a namespace').optional().meta({ description: 'default `default`' }),
  ports: boundedRecord(portName(), z.string().min(1).max(63), { max: documentLimits.ports, what: 'ports' }).optional()
    .meta({ description: 'port of this document → port of the EndpointSlices, by name; default the same name, or the only one' }),
});

const fileSettings = z.strictObject({
  path: named(/^(?!\/)(?!.*(?:^|\/)\.\.?(?:\/|$))[A-Za-z0-9._/-]{1,200}\.(?:yaml|yml|json)$/, 'a path below the folder of --discovery-dir, ending in .yaml, .yml or .json', 200).optional()
    .meta({ description: 'below the folder of --discovery-dir; default NAME.yaml' }),
});

/** Where instances come from, beside the sidecars that announce themselves and the endpoints that the document lists. */
export const discoverySchema = z.strictObject({
  source: oneOf(['sidecars', 'dns', 'consul', 'kubernetes', 'file']),
  dns: dnsSettings.optional(),
  consul: consulSettings.optional(),
  kubernetes: kubernetesSettings.optional(),
  file: fileSettings.optional(),
});

export type DiscoveryDocument = z.infer<typeof discoverySchema>;
/** A source that is asked. */
export type AskedSource = 'dns' | 'consul' | 'kubernetes' | 'file';

export const askedSources: readonly AskedSource[] = ['dns', 'consul', 'kubernetes', 'file'];

/** What of `discovery` contradicts itself, or the ports of its Service. */
export function checkDiscovery(service: { readonly ports: Readonly<Record<string, unknown>>; readonly discovery?: DiscoveryDocument | undefined }, context: z.RefinementCtx): void {
  const { discovery } = service;
  if (discovery === undefined) return;
  const names = Object.keys(service.ports);
  for (const source of askedSources) {
    if (discovery[source] !== undefined && source !== discovery.source) issue(context, 'exclusive', `is about another source than ${discovery.source}`, `source: ${source}`, ['discovery', source]);
  }
  if (discovery.source === 'dns') checkDns(discovery.dns, names, context);
  if (discovery.source === 'consul') checkConsul(discovery.consul, names, context);
  if (discovery.kubernetes !== undefined) checkPortNames(Object.keys(discovery.kubernetes.ports ?? {}), names, ['discovery', 'kubernetes', 'ports'], context);
}

function checkDns(dns: z.infer<typeof dnsSettings> | undefined, names: readonly string[], context: z.RefinementCtx): void {
  const at = ['discovery', 'dns'];
  if (dns === undefined) return issue(context, 'missing', 'source dns needs a name to ask for', 'dns: {name: payments.internal}', at);
  if (/^[\d.]+$/.test(dns.name)) issue(context, 'invalid-name', 'an address is not looked up: list it in endpoints', undefined, [...at, 'name']);
  const srv = dns.records === 'srv';
  if (srv && dns.port !== undefined) issue(context, 'exclusive', 'SRV records bring the port', undefined, [...at, 'port']);
  if (srv && dns.ports !== undefined) issue(context, 'exclusive', 'SRV records bring the port', undefined, [...at, 'ports']);
  if (srv && names.length > 1) issue(context, 'ambiguous-port', 'SRV records bring one port, and the service has several', 'a Service for each, or records: addresses', [...at, 'records']);
  if (dns.port !== undefined && dns.ports !== undefined) issue(context, 'exclusive', 'give port or ports, not both', undefined, [...at, 'port']);
  if (dns.port !== undefined && names.length > 1) issue(context, 'ambiguous-port', 'the service has several ports; say which in ports', `ports: {${names[0]}: ${dns.port}}`, [...at, 'port']);
  checkPortNames(Object.keys(dns.ports ?? {}), names, [...at, 'ports'], context);
  const [least, most] = [parseDurationMs(dns.minTtl ?? '5s') ?? 0, parseDurationMs(dns.maxTtl ?? '5m') ?? 0];
  if (least > most) issue(context, 'contradiction', `minTtl ${dns.minTtl ?? '5s'} is more than maxTtl ${dns.maxTtl ?? '5m'}`, undefined, [...at, dns.minTtl === undefined ? 'maxTtl' : 'minTtl']);
}

function checkConsul(consul: z.infer<typeof consulSettings> | undefined, names: readonly string[], context: z.RefinementCtx): void {
  const at = ['discovery', 'consul', 'port'];
  if (consul?.port !== undefined) checkPortNames([consul.port], names, at, context, true);
  else if (names.length > 1) issue(context, 'ambiguous-port', 'Consul knows one port of an instance, and the service has several: say which', `port: ${names[0]}`, at);
}

function checkPortNames(used: readonly string[], names: readonly string[], at: readonly string[], context: z.RefinementCtx, whole = false): void {
  for (const name of used) {
    if (!names.includes(name)) issue(context, 'unknown-port', `the service has no port ${name}`, `one of ${names.join(', ')}`, whole ? [...at] : [...at, name]);
  }
}
