import { suggest } from '@remora/core/suggest';
import type { Violation } from '@remora/core/violation';

/**
 * Syntax of the one variable language: text with `${name}` in it, `$${` for a literal `${`. Pure: used at authoring to
 * refuse unknown names, and again when a snapshot is built. `variables.ts` evaluates.
 */
export function parseTemplate(text: string, scope: TemplateScope = 'request'): TemplateResult {
  if (text.length > templateLengthMax) return fail('too-long', 0, `A template has at most ${templateLengthMax} characters.`);
  const parts: TemplatePart[] = [];
  let literal = '';
  let at = 0;
  while (at < text.length) {
    const dollar = text.indexOf('${', at);
    if (dollar < 0) break;
    if (dollar > at && text.charCodeAt(dollar - 1) === 0x24) {
      literal += `${text.slice(at, dollar - 1)}\${`;
      at = dollar + 2;
      continue;
    }
    literal += text.slice(at, dollar);
    const close = text.indexOf('}', dollar);
    if (close < 0) return fail('bad-template', dollar, 'A variable that starts with ${ has no closing }.');
    const variable = readVariable(text.slice(dollar + 2, close), dollar, scope);
    if (!variable.ok) return variable;
    if (literal !== '') parts.push({ kind: 'text', text: literal });
    literal = '';
    parts.push(variable.part);
    if (parts.length > templatePartsMax) return fail('too-long', dollar, `A template has at most ${templatePartsMax} parts.`);
    at = close + 1;
  }
  literal += text.slice(at);
  if (literal !== '') parts.push({ kind: 'text', text: literal });
  return { ok: true, parts };
}

export const templateLengthMax = 16_384;
export const templatePartsMax = 256;

export type TemplatePart = { readonly kind: 'text'; readonly text: string } | VariablePart;

export interface VariablePart {
  readonly kind: 'variable';
  /** Name in the catalogue; with a trailing `.` where an argument follows: `header.`. */
  readonly name: VariableName;
  /** What follows the name: the header of `header.x-a`; '' for names without argument. */
  readonly argument: string;
}

export type TemplateResult =
  | { readonly ok: true; readonly parts: readonly TemplatePart[] }
  | TemplateError;

export interface TemplateError {
  readonly ok: false;
  /** `unknown-variable`, `not-available`, `bad-template` or `too-long`. */
  readonly code: string;
  /** One sentence for a person. */
  readonly error: string;
  /** Place in the text, in UTF-16 units from 0. */
  readonly offset: number;
  readonly suggestion?: string;
}

/**
 * When a template is evaluated, which decides what it may name: `request` (keys, rewrites, request headers), `response`
 * (response headers), `answer` (bodies of Remora's own answers), `log` (after the end).
 */
export type TemplateScope = 'request' | 'response' | 'answer' | 'log';

interface VariableFacts {
  readonly scopes: 'all' | readonly TemplateScope[];
  /** Its values are decimal numbers. */
  readonly number?: true;
  /** For the documentation. */
  readonly what: string;
}

/** Every variable. A name that ends with `.` takes an argument. */
export const variableCatalogue = {
  'request.id': { scopes: 'all', what: 'Request id (policy kind requestId).' },
  'request.method': { scopes: 'all', what: 'Method.' },
  'request.scheme': { scopes: 'all', what: '`http` or `https`, as the client used it.' },
  'request.host': { scopes: 'all', what: 'Host (and port) that the client asked for, lower case.' },
  'request.path': { scopes: 'all', what: 'Canonical path that the client asked for, without query.' },
  'request.query': { scopes: 'all', what: 'Raw query, without `?`.' },
  'request.target': { scopes: 'all', what: 'Path and query.' },
  'request.protocol': { scopes: 'all', what: 'What the request asks to switch to: `websocket`, or what `Upgrade` said; `tcp` or `tls` for a connection to a port that carries those. Empty otherwise.' },
  'path.': { scopes: 'all', what: 'A variable of the route\'s path: `{id}` of a template, a named group of a regex.' },
  'header.': { scopes: 'all', what: 'A request header; several values are joined by a comma.' },
  'query.': { scopes: 'all', what: 'A query parameter, decoded; several values are joined by a comma.' },
  'cookie.': { scopes: 'all', what: 'A cookie, as sent.' },
  'client.address': { scopes: 'all', what: 'Address of the client, trusted proxies considered.' },
  'peer.address': { scopes: 'all', what: 'Address of the socket\'s peer.' },
  'caller.service': { scopes: 'all', what: 'Service of the caller, by its certificate of the mesh, of whatever accepted trust domain; empty for callers that showed none, and for gateways.' },
  'caller.id': { scopes: 'all', what: 'SPIFFE id of the caller, by its certificate of the mesh or of an external client; empty where it showed none.' },
  'consumer.name': { scopes: 'all', what: 'Consumer that the request\'s credentials are of; empty where they are of none, and before the kind that looks at them ran.' },
  'consumer.groups': { scopes: 'all', what: 'Its groups, joined by a comma.' },
  'consumer.plan': { scopes: 'all', what: 'Its Plan.' },
  'claim.': { scopes: 'all', what: 'A claim of the request\'s token, by name or path (`claim.realm_access.roles`); a list is joined by a comma.' },
  route: { scopes: 'all', what: 'Name of the route; empty for the default.' },
  'route.owner': { scopes: 'all', what: 'Service or gateway whose route it is.' },
  side: { scopes: 'all', what: '`inbound`, `outbound` or `gateway`.' },
  now: { scopes: 'all', what: 'When the request arrived: RFC 3339, milliseconds, UTC.' },
  'now.unix': { scopes: 'all', number: true, what: 'The same in seconds since 1970.' },
  'now.unixMs': { scopes: 'all', number: true, what: 'The same in milliseconds since 1970.' },
  'trace.id': { scopes: 'all', what: 'Id of the request\'s trace, by its traceparent; empty without a valid one.' },
  'trace.span': { scopes: 'all', what: 'Id of the request\'s own span, where this sidecar records one.' },
  uuid: { scopes: 'all', what: 'A new random UUID (version 4) at each evaluation.' },
  'config.version': { scopes: 'all', what: 'Version of the snapshot that the request runs on.' },
  'response.status': { scopes: ['response', 'answer', 'log'], number: true, what: 'Status of the response.' },
  'grpc.status': { scopes: ['log'], what: 'Code of gRPC that the response or its trailers carried; empty where there was none.' },
  'response.header.': { scopes: ['response', 'log'], what: 'A response header; several values are joined by a comma.' },
  'reason.code': { scopes: ['answer', 'log'], what: 'Reason code, where Remora itself answered.' },
  'reason.title': { scopes: ['answer', 'log'], what: 'The reason as a sentence.' },
  'reason.flag': { scopes: ['answer', 'log'], what: 'Envoy\'s response flag of the reason.' },
  'reason.detail': { scopes: ['log'], what: 'Detail of the refusal, for operators.' },
  'policy.kind': { scopes: ['log'], what: 'Policy kind that refused.' },
  'policy.pointer': { scopes: ['log'], what: 'Field or named entry that refused.' },
  duration: { scopes: ['log'], number: true, what: 'Milliseconds from arrival to the end, with fractions.' },
  'duration.head': { scopes: ['log'], number: true, what: 'Milliseconds from arrival to the response head; 0 where there was none.' },
  'bytes.in': { scopes: ['log'], number: true, what: 'Body bytes received from the client.' },
  'bytes.out': { scopes: ['log'], number: true, what: 'Body bytes sent to the client.' },
  'messages.in': { scopes: ['log'], what: 'Messages of a WebSocket that the client sent; empty for everything else.' },
  'messages.out': { scopes: ['log'], what: 'Messages of a WebSocket that the client got; empty for everything else.' },
  attempts: { scopes: ['log'], number: true, what: 'Upstream attempts.' },
  upstream: { scopes: ['log'], what: 'Endpoint of the last attempt, `host:port`.' },
  'upstream.path': { scopes: ['log'], what: 'Path that went upstream, where the route rewrote it; else empty.' },
  destination: { scopes: ['log'], what: 'Service that the request went to.' },
  fallback: { scopes: ['log'], what: 'What answered where the destination failed (policy kind fallback): `answer`, `service NAME` or `stale`; empty where nothing had to.' },
} as const satisfies Record<string, VariableFacts>;

export type VariableName = keyof typeof variableCatalogue;

const factsByName: ReadonlyMap<string, VariableFacts> = new Map(Object.entries(variableCatalogue));

/** Whether the values of a variable are decimal numbers: the log writes them without quotes. */
export function isNumberVariable(name: VariableName): boolean {
  return factsByName.get(name)?.number === true;
}

type VariableResult = { readonly ok: true; readonly part: VariablePart } | TemplateError;

function readVariable(name: string, offset: number, scope: TemplateScope): VariableResult {
  const found = findVariable(name);
  if (!found) return unknownVariable(name, offset, scope);
  if (!inScope(found.facts, scope)) return fail('not-available', offset, `\${${name}} has no value here (it exists in: ${describeScopes(found.facts)}).`);
  const problem = argumentProblem(found.name, found.argument);
  if (problem !== null) return fail('bad-template', offset, `\${${name}}: ${problem}`);
  const argument = found.name.endsWith('header.') ? found.argument.toLowerCase() : found.argument;
  return { ok: true, part: { kind: 'variable', name: found.name, argument } };
}

function findVariable(text: string): { name: VariableName; facts: VariableFacts; argument: string } | null {
  const whole = factsByName.get(text);
  if (whole && !text.endsWith('.')) return { name: text as VariableName, facts: whole, argument: '' };
  for (const [name, facts] of factsByName) {
    if (name.endsWith('.') && text.startsWith(name)) return { name: name as VariableName, facts, argument: text.slice(name.length) };
  }
  return null;
}

function argumentProblem(name: VariableName, argument: string): string | null {
  if (!name.endsWith('.')) return null;
  if (argument === '') return 'a name must follow the dot.';
  if (argument.length > 256) return 'the name has at most 256 characters.';
  const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
  if ((name.endsWith('header.') || name === 'cookie.') && !token.test(argument)) return 'not a valid header or cookie name.';
  return null;
}

function unknownVariable(name: string, offset: number, scope: TemplateScope): TemplateError {
  const dot = name.indexOf('.');
  const known = [...factsByName].filter(([, facts]) => inScope(facts, scope)).map(([word]) => word);
  const near = suggest(name, known.filter((word) => !word.endsWith('.')));
  const stem = dot > 0 ? suggest(name.slice(0, dot + 1), known.filter((word) => word.endsWith('.'))) : undefined;
  const suggestion = near !== undefined ? `\${${near}}` : stem !== undefined ? `\${${stem}${name.slice(dot + 1)}}` : undefined;
  const error = `\${${name.slice(0, 80)}} is not a variable.`;
  return suggestion === undefined ? fail('unknown-variable', offset, error) : { ...fail('unknown-variable', offset, error), suggestion };
}

function inScope(facts: VariableFacts, scope: TemplateScope): boolean {
  return facts.scopes === 'all' || facts.scopes.includes(scope);
}

function describeScopes(facts: VariableFacts): string {
  return facts.scopes === 'all' ? 'everywhere' : facts.scopes.join(', ');
}

function fail(code: string, offset: number, error: string): TemplateError {
  return { ok: false, code, error, offset };
}

/** What is wrong with a template as a violation at `pointer`; null where nothing is. For `check` of authoring kinds. */
export function templateViolation(pointer: string, text: string, scope: TemplateScope = 'request'): Violation | null {
  const result = parseTemplate(text, scope);
  if (result.ok) return null;
  const violation = { pointer, code: result.code, message: `${result.error} (at character ${result.offset + 1})` };
  return result.suggestion === undefined ? violation : { ...violation, suggestion: result.suggestion };
}
