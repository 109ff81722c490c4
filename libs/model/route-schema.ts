import { duration, headerName, headerValue } from '@remora/policy-kit/scalars';
import { parseTemplate } from '@remora/policy-kit/template';
import { z } from 'zod';
import { documentLimits } from './document-limits.ts';
import { acrossFields, issue } from './issue.ts';
import { createMatchSchema, matchVariables } from './match-schema.ts';
import type { MatchDocument, RegexCheck } from './match-schema.ts';
import { boundedRecord, documentName, hostName, labels, portName } from './names.ts';
import { pathProblem } from './path-syntax.ts';

const host = z.string().max(260).regex(/^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/, 'must be a host, with :port where needed');

const rewriteSchema = z.strictObject({
  prefix: z.string().superRefine((text, context) => {
    const problem = pathProblem(text, 'prefix');
    if (problem !== null) issue(context, 'invalid-path', problem, '/orders');
  }).optional().meta({ description: 'replaces what the prefix of the match took' }),
  template: z.string().max(documentLimits.pathLength).optional().meta({ description: 'the whole new path, with ${path.id} variables' }),
  stripSegments: z.int().min(1).max(32).optional().meta({ description: 'drops this number of leading segments' }),
  host: host.optional(),
}).superRefine((rewrite, context) => {
  if (Object.keys(rewrite).length === 0) issue(context, 'too-few', 'changes nothing', 'prefix, template or stripSegments, and host');
  const paths = (['prefix', 'template', 'stripSegments'] as const).filter((field) => rewrite[field] !== undefined);
  if (paths.length > 1) issue(context, 'exclusive', `has ${paths.join(' and ')}`, 'one of prefix, template, stripSegments');
});

const redirectSchema = z.strictObject({
  status: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)], { error: () => 'must be 301, 302, 303, 307 or 308' }).optional().meta({ description: 'default 302' }),
  scheme: z.enum(['http', 'https']).optional(),
  host: z.string().max(253).regex(/^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/, 'must be a host name without port').optional(),
  port: z.int().min(1).max(65_535).optional(),
  rewrite: rewriteSchema.optional(),
  keepQuery: z.boolean().optional().meta({ description: 'default true' }),
}).superRefine((redirect, context) => {
  if (redirect.scheme === undefined && redirect.host === undefined && redirect.port === undefined && redirect.rewrite === undefined) {
    issue(context, 'redirect-loop', 'leads back to the same address', 'scheme, host, port or rewrite');
  }
  if (redirect.rewrite?.host !== undefined) issue(context, 'exclusive', 'the host of a redirect is its own field', 'redirect: {host: …}', ['rewrite', 'host']);
}, acrossFields('scheme', 'host', 'port', 'rewrite'));

const respondSchema = z.strictObject({
  status: z.int().min(200).max(599),
  headers: boundedRecord(headerName(), headerValue(), { max: documentLimits.conditions, what: 'headers' }).optional(),
  body: z.string().max(documentLimits.responseBytes).optional(),
  contentType: headerValue().optional().meta({ description: 'default text/plain; charset=utf-8, where there is a body' }),
  delay: duration({ max: 60_000 }).optional(),
}).superRefine((respond, context) => {
  for (const name of Object.keys(respond.headers ?? {})) {
    if (/^(?:content-length|transfer-encoding|connection|keep-alive|upgrade|te|trailer)$/i.test(name)) issue(context, 'not-settable', `${name} is made from the message itself`, undefined, ['headers', name]);
  }
  if ((respond.status === 204 || respond.status === 304) && respond.body !== undefined) issue(context, 'no-body', `a ${respond.status} has no body`, undefined, ['body']);
}, acrossFields('status', 'headers', 'body'));

const destinationSchema = z.strictObject({
  service: hostName().optional(),
  port: portName().optional(),
  labels: labels().optional(),
  weight: z.int().min(0).max(1_000_000).optional().meta({ description: 'default 1' }),
});

/** A match and where it goes: of a Gateway, or of a Service. */
export function createRouteSchema(checkRegex: RegexCheck) {
  return z.strictObject({
    kind: z.literal('Route'),
    name: documentName(),
    labels: labels().optional(),
    service: hostName().optional(),
    gateway: hostName().optional(),
    ports: z.array(portName()).min(1).max(documentLimits.ports).optional().meta({ description: 'ports of the service; absent: all' }),
    listeners: z.array(portName()).min(1).max(documentLimits.listeners).optional().meta({ description: 'listeners of the gateway; absent: all' }),
    priority: z.int().min(-1_000_000).max(1_000_000).optional().meta({ description: 'default 0; higher comes first' }),
    match: createMatchSchema(checkRegex).optional(),
    to: z.array(destinationSchema).min(1).max(documentLimits.targets).optional(),
    sticky: z.strictObject({ header: headerName() }).optional().meta({ description: 'requests with the same value of this header go to the same entry of `to`; without it, chance decides' }),
    rewrite: rewriteSchema.optional(),
    redirect: redirectSchema.optional(),
    respond: respondSchema.optional(),
  })
    .superRefine(checkOwner, acrossFields('service', 'gateway', 'ports', 'listeners'))
    .superRefine(checkAction, acrossFields('gateway', 'to', 'redirect', 'respond', 'rewrite'))
    .superRefine((route, context) => {
      for (const [i, destination] of (route.to ?? []).entries()) checkDestination(route.gateway !== undefined, destination, i, context);
      if (route.to !== undefined && route.to.every((destination) => destination.weight === 0)) issue(context, 'zero-weights', 'all weights are zero: nothing could be reached', undefined, ['to']);
    }, acrossFields('gateway', 'to'))
    .superRefine((route, context) => {
      if (route.sticky !== undefined && (route.to ?? []).length < 2) issue(context, 'contradiction', 'there is nothing to choose from', 'two or more entries in `to`', ['sticky']);
    }, acrossFields('to', 'sticky'))
    .superRefine((route, context) => {
      if (route.rewrite) checkRewrite(route.rewrite, route.match, ['rewrite'], context);
      if (route.redirect?.rewrite) checkRewrite(route.redirect.rewrite, route.match, ['redirect', 'rewrite'], context);
    }, acrossFields('match', 'rewrite', 'redirect'));
}

export type RouteDocument = z.infer<ReturnType<typeof createRouteSchema>>;
export type RewriteDocument = z.infer<typeof rewriteSchema>;
export type RouteDestination = z.infer<typeof destinationSchema>;

interface Owned {
  readonly service?: string | undefined;
  readonly gateway?: string | undefined;
  readonly ports?: unknown;
  readonly listeners?: unknown;
}

function checkOwner(route: Owned, context: z.RefinementCtx): void {
  if ((route.service === undefined) === (route.gateway === undefined)) {
    issue(context, 'missing-owner', route.service === undefined ? 'belongs to nothing' : 'belongs to a service and a gateway', 'service: x or gateway: x');
  }
  if (route.gateway !== undefined && route.ports !== undefined) issue(context, 'wrong-owner', 'a gateway has listeners', 'listeners', ['ports']);
  if (route.service !== undefined && route.listeners !== undefined) issue(context, 'wrong-owner', 'a service has ports', 'ports', ['listeners']);
}

function checkAction(route: { readonly gateway?: string | undefined; readonly to?: unknown; readonly redirect?: unknown; readonly respond?: unknown; readonly rewrite?: unknown }, context: z.RefinementCtx): void {
  const actions = (['to', 'redirect', 'respond'] as const).filter((action) => route[action] !== undefined);
  if (actions.length > 1) issue(context, 'exclusive', `has ${actions.join(' and ')}`, 'one of to, redirect, respond');
  if (actions.length === 0 && route.gateway !== undefined) issue(context, 'missing-action', 'a route of a gateway leads somewhere', 'to, redirect or respond');
  if (route.rewrite !== undefined && (route.redirect ?? route.respond) !== undefined) issue(context, 'exclusive', 'only a request that is forwarded is rewritten', undefined, ['rewrite']);
}

function checkDestination(ofGateway: boolean, destination: RouteDestination, i: number, context: z.RefinementCtx): void {
  if (ofGateway && destination.service === undefined) issue(context, 'missing-field', 'a route of a gateway names the service', 'service: x', ['to', i, 'service']);
  if (!ofGateway && destination.service !== undefined) issue(context, 'wrong-owner', 'a route of a service chooses among its own instances', 'labels: {…}', ['to', i, 'service']);
  if (!ofGateway && destination.port !== undefined) issue(context, 'wrong-owner', 'the caller of a service chooses the port', undefined, ['to', i, 'port']);
}

function checkRewrite(rewrite: RewriteDocument, match: MatchDocument | undefined, at: readonly string[], context: z.RefinementCtx): void {
  if (rewrite.prefix !== undefined && match?.path?.prefix === undefined) {
    issue(context, 'no-prefix', 'replaces what match.path.prefix took, and there is none', 'match: {path: {prefix: …}}, or template', [...at, 'prefix']);
  }
  if (rewrite.template === undefined) return;
  const where = [...at, 'template'];
  const parsed = parseTemplate(rewrite.template, 'request');
  if (!parsed.ok) return issue(context, parsed.code, parsed.error, undefined, where, parsed.suggestion);
  const first = parsed.parts[0];
  if (first?.kind !== 'text' || !first.text.startsWith('/')) issue(context, 'invalid-path', 'does not start with /', '/orders/${path.id}', where);
  const known = matchVariables(match);
  for (const part of parsed.parts) {
    if (part.kind === 'variable' && part.name === 'path.' && !known.includes(part.argument)) {
      issue(context, 'unknown-variable', `the match has no path variable ${part.argument}`, known.length === 0 ? 'match: {path: {template: …}}' : `one of ${known.join(', ')}`, where);
    }
  }
}
