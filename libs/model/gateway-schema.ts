import { oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { listenerProtocol } from './listener-protocol.ts';
import { boundedRecord, hostName, hostPattern, labels, portName } from './names.ts';
import { pathRulesSchema } from './path-rules-schema.ts';
import { listenerTlsSchema } from './tls-schema.ts';

const listener = z.strictObject({
  port: z.int().min(0).max(65_535).meta({ description: '0 picks a free one' }),
  hosts: z.array(hostPattern()).max(documentLimits.hosts).optional().meta({ description: 'empty: any' }),
  protocol: oneOf(['http', 'https', 'tcp', 'tls']).optional()
    .meta({ description: '`tcp` carries connections as they are, `tls` does so by the name in their ClientHello; default https with `tls`, else http' }),
  redirect: oneOf(['https']).optional().meta({ description: 'answers every request with a redirect to the listener of protocol https' }),
  tls: listenerTlsSchema.optional().meta({ description: 'for protocol https' }),
  proxyProtocol: oneOf(['required']).optional()
    .meta({ description: 'every connection begins with a PROXY protocol header (version 1 or 2) of one of the Mesh\'s trustedProxies' }),
});

/** An edge: what sidecars without an app listen on. */
export const gatewaySchema = z.strictObject({
  kind: z.literal('Gateway'),
  name: hostName(),
  labels: labels().optional(),
  listeners: boundedRecord(portName(), listener, { min: 1, max: documentLimits.listeners, what: 'listeners' }),
  pathRules: pathRulesSchema.optional(),
})
  .superRefine((gateway, context) => checkListenerPorts(gateway.listeners, context), acrossFields('listeners'))
  .superRefine((gateway, context) => checkListenerTls(gateway.listeners, context), acrossFields('listeners'));

export type GatewayDocument = z.infer<typeof gatewaySchema>;

function checkListenerPorts(listeners: Readonly<Record<string, { readonly port: number }>>, context: z.RefinementCtx): void {
  const seen = new Map<number, string>();
  for (const [name, { port }] of Object.entries(listeners)) {
    const other = seen.get(port);
    if (other !== undefined && port !== 0) issue(context, 'duplicate-port', `port ${port} is already taken by listener ${other}`, undefined, ['listeners', name, 'port']);
    seen.set(port, name);
  }
}

function checkListenerTls(listeners: Readonly<Record<string, z.infer<typeof listener>>>, context: z.RefinementCtx): void {
  const secured = Object.values(listeners).some((one) => listenerProtocol(one) === 'https');
  for (const [name, one] of Object.entries(listeners)) {
    const { tls, redirect, hosts } = one;
    const protocol = listenerProtocol(one);
    if (protocol === 'https' && tls === undefined) issue(context, 'missing-field', 'protocol https needs tls with certificates', undefined, ['listeners', name, 'tls']);
    if (protocol !== 'https' && tls !== undefined) issue(context, 'exclusive', 'tls is for protocol https', 'protocol: https', ['listeners', name, 'tls']);
    if (protocol === 'tcp' && hosts !== undefined) issue(context, 'exclusive', 'a TCP connection names no host', 'protocol: tls', ['listeners', name, 'hosts']);
    if (redirect === undefined) continue;
    if (protocol === 'tcp' || protocol === 'tls') issue(context, 'exclusive', 'only requests are redirected', 'protocol: http', ['listeners', name, 'redirect']);
    else if (protocol === 'https') issue(context, 'exclusive', 'is https already', undefined, ['listeners', name, 'redirect']);
    else if (!secured) issue(context, 'missing-listener', 'no listener of this Gateway has protocol https', undefined, ['listeners', name, 'redirect']);
  }
}
