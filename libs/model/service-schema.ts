import { oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { checkDiscovery, discoverySchema } from './discovery-schema.ts';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { boundedRecord, hostName, labels, named, portName } from './names.ts';
import { pathRulesSchema } from './path-rules-schema.ts';
import { upstreamTlsSchema } from './tls-schema.ts';

const portNumber = z.int().min(1).max(65_535);

const servicePort = z.strictObject({
  port: portNumber,
  protocol: oneOf(['http', 'http2', 'grpc', 'tcp', 'tls']).optional().meta({
    description: 'what the app speaks: `http` is HTTP/1.1, `http2` and `grpc` are HTTP/2 without TLS; `tcp` is anything else, `tls` the same with TLS of the app\'s own; default http',
  }),
  proxyProtocol: oneOf(['v1', 'v2']).optional()
    .meta({ description: 'what listens here wants each connection to begin with a PROXY protocol header of this version: the app, from its sidecar; the endpoints listed in this document, from their callers' }),
  tls: upstreamTlsSchema.optional().meta({ description: 'the endpoints listed in this document speak TLS on this port; with protocol tcp callers\' sidecars do it for them' }),
});

const address = named(
  /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$/,
  'an IP address or a host name, without port', 253,
);

const staticEndpoint = z.strictObject({
  address,
  port: portNumber.optional().meta({ description: 'where the service has one port and this endpoint listens on another' }),
  ports: boundedRecord(portName(), portNumber, { max: documentLimits.ports, what: 'ports' }).optional(),
  weight: z.int().min(0).max(1_000_000).optional().meta({ description: 'default 1' }),
  backup: z.boolean().optional().meta({ description: 'used when no other endpoint can be' }),
  labels: labels().optional(),
  locality: z.string().max(253).optional(),
});

/** A named workload. */
export const serviceSchema = z.strictObject({
  kind: z.literal('Service'),
  name: hostName(),
  labels: labels().optional(),
  ports: boundedRecord(portName(), servicePort, { min: 1, max: documentLimits.ports, what: 'ports' }),
  endpoints: z.array(staticEndpoint).min(1).max(documentLimits.endpoints).optional().meta({ description: 'instances at fixed addresses, beside those that sidecars announce' }),
  discovery: discoverySchema.optional().meta({ description: 'where instances come from, beside sidecars that announce themselves and endpoints listed here' }),
  dependsOn: z.array(hostName()).max(documentLimits.dependsOn).optional().meta({ description: 'services it may call' }),
  pathRules: pathRulesSchema.optional(),
})
  .superRefine((service, context) => checkPortNumbers(service.ports, context), acrossFields('ports'))
  .superRefine((service, context) => checkPortTls(service.ports, context), acrossFields('ports'))
  .superRefine((service, context) => checkDependencies(service.name, service.dependsOn ?? [], context), acrossFields('name', 'dependsOn'))
  .superRefine((service, context) => checkEndpoints(service, context), acrossFields('ports', 'endpoints', 'discovery'))
  .superRefine((service, context) => checkDiscovery(service, context), acrossFields('ports', 'discovery'));

export type ServiceDocument = z.infer<typeof serviceSchema>;

function checkPortNumbers(ports: Readonly<Record<string, { readonly port: number }>>, context: z.RefinementCtx): void {
  const seen = new Map<number, string>();
  for (const [name, { port }] of Object.entries(ports)) {
    const other = seen.get(port);
    if (other !== undefined) issue(context, 'duplicate-port', `port ${port} is already named ${other}`, undefined, ['ports', name, 'port']);
    seen.set(port, name);
  }
}

function checkPortTls(ports: Readonly<Record<string, z.infer<typeof servicePort>>>, context: z.RefinementCtx): void {
  for (const [name, { protocol, tls }] of Object.entries(ports)) {
    if (tls !== undefined && protocol === 'tls') issue(context, 'exclusive', 'a port of protocol tls is carried as it is: TLS is the app\'s own', 'protocol: tcp, where callers speak without TLS', ['ports', name, 'tls']);
    if (tls?.alpn !== undefined && protocol === 'tcp') issue(context, 'exclusive', 'names versions of HTTP, and a port of protocol tcp carries anything', undefined, ['ports', name, 'tls', 'alpn']);
  }
}

function checkDependencies(name: string, dependsOn: readonly string[], context: z.RefinementCtx): void {
  for (const [i, dependency] of dependsOn.entries()) {
    if (dependency === name) issue(context, 'self-reference', 'a service does not depend on itself', undefined, ['dependsOn', i]);
    if (dependsOn.indexOf(dependency) < i) issue(context, 'duplicate', `${dependency} is listed twice`, undefined, ['dependsOn', i]);
  }
}

function checkEndpoints(service: { readonly ports: Readonly<Record<string, unknown>>; readonly discovery?: unknown; readonly endpoints?: readonly z.infer<typeof staticEndpoint>[] | undefined }, context: z.RefinementCtx): void {
  const names = Object.keys(service.ports);
  const seen = new Set<string>();
  for (const [i, endpoint] of (service.endpoints ?? []).entries()) {
    const at = ['endpoints', i];
    if (endpoint.port !== undefined && names.length > 1) issue(context, 'ambiguous-port', 'the service has several ports; say which in ports', `ports: {${names[0]}: ${endpoint.port}}`, [...at, 'port']);
    if (endpoint.port !== undefined && endpoint.ports !== undefined) issue(context, 'exclusive', 'give port or ports, not both', undefined, [...at, 'port']);
    for (const name of Object.keys(endpoint.ports ?? {})) {
      if (!Object.hasOwn(service.ports, name)) issue(context, 'unknown-port', `the service has no port ${name}`, `one of ${names.join(', ')}`, [...at, 'ports', name]);
    }
    const place = `${endpoint.address} ${endpoint.port ?? JSON.stringify(endpoint.ports ?? {})}`;
    if (seen.has(place)) issue(context, 'duplicate', `${endpoint.address} is listed twice`, undefined, at);
    seen.add(place);
  }
  const listed = service.endpoints ?? [];
  if (listed.length > 0 && service.discovery === undefined && listed.every(({ weight }) => weight === 0)) {
    issue(context, 'zero-weights', 'all weights are zero: none of these endpoints would get anything', 'a weight above 0, or no endpoints', ['endpoints']);
  }
}
