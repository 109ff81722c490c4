import { oneOf } from '@remora/policy-kit/scalars';
import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { boundedRecord, hostName, hostPattern, labels, portName } from './names.ts';
import { pathRulesSchema } from './path-rules-schema.ts';

const certificate = z.strictObject({
  secret: z.string().max(127).optional(),
  certFile: z.string().max(4_096).optional(),
  keyFile: z.string().max(4_096).optional(),
});

const tls = z.strictObject({
  certificates: z.array(certificate).min(1).max(64),
  minVersion: oneOf(['1.2', '1.3']).optional(),
  clientCaFiles: z.array(z.string().max(4_096)).max(16).optional(),
  ciphers: z.array(z.string().max(128)).max(64).optional(),
}).superRefine((_tls, context) => issue(context, 'not-available', 'TLS on listeners is not available in this build'));

const listener = z.strictObject({
  port: z.int().min(0).max(65_535).meta({ description: '0 picks a free one' }),
  hosts: z.array(hostPattern()).max(documentLimits.hosts).optional().meta({ description: 'empty: any' }),
  protocol: oneOf(['http'], ['https', 'tcp', 'tls']).optional().meta({ description: 'default http' }),
  redirect: z.literal('https').superRefine((_https, context) => issue(context, 'not-available', 'redirect to https is not available in this build')).optional(),
  tls: tls.optional(),
});

/** An edge: what sidecars without an app listen on. */
export const gatewaySchema = z.strictObject({
  kind: z.literal('Gateway'),
  name: hostName(),
  labels: labels().optional(),
  listeners: boundedRecord(portName(), listener, { min: 1, max: documentLimits.listeners, what: 'listeners' }),
  pathRules: pathRulesSchema.optional(),
}).superRefine((gateway, context) => checkListenerPorts(gateway.listeners, context), acrossFields('listeners'));

export type GatewayDocument = z.infer<typeof gatewaySchema>;

function checkListenerPorts(listeners: Readonly<Record<string, { readonly port: number }>>, context: z.RefinementCtx): void {
  const seen = new Map<number, string>();
  for (const [name, { port }] of Object.entries(listeners)) {
    const other = seen.get(port);
    if (other !== undefined && port !== 0) issue(context, 'duplicate-port', `port ${port} is already taken by listener ${other}`, undefined, ['listeners', name, 'port']);
    seen.set(port, name);
  }
}
