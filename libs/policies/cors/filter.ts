import type { Field, Head, HeaderId } from '@remora/http/head';
import { headerId, makeField } from '@remora/http/header-ids';
import type { Answer, EdgeFilter } from '@remora/policy-kit/exchange';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { isAllowedOrigin } from './allowed-origin.ts';
import { corsOriginDenied, corsPreflight } from './reasons.ts';
import { corsWire, type CorsSettings } from './wire.ts';

/** Answers preflights and marks responses (Fetch standard, section 3.3). */
export const corsRuntime: RuntimeKind<CorsSettings> = {
  ...corsWire,
  side: 'provider',
  edge: makeCorsFilter,
};

const ids = {
  origin: headerId('origin'),
  requestMethod: headerId('access-control-request-method'),
  requestHeaders: headerId('access-control-request-headers'),
  requestPrivateNetwork: headerId('access-control-request-private-network'),
  vary: headerId('vary'),
};

/** What an upstream says about origins is replaced: the policy decides. */
const upstreamIds: readonly HeaderId[] = [
  headerId('access-control-allow-origin'), headerId('access-control-allow-credentials'), headerId('access-control-expose-headers'),
  headerId('access-control-allow-methods'), headerId('access-control-allow-headers'), headerId('access-control-max-age'),
  headerId('access-control-allow-private-network'),
];

const anyOriginField = makeField('access-control-allow-origin', '*');
const credentialsField = makeField('access-control-allow-credentials', 'true');
const privateNetworkField = makeField('access-control-allow-private-network', 'true');
const varyOriginField = makeField('vary', 'Origin');

/** What `request` found, for `response`: the field of the allowed origin, nothing allowed, or a preflight answered here. */
type Found = Field | 'none' | 'preflight';

function makeCorsFilter(settings: CorsSettings, context: FilterContext): EdgeFilter {
  const slot = context.slot();
  const originField = originFields(settings);
  const answerPreflight = preflightOf(settings, context);
  const mark = responseMarks(settings);
  return {
    kind: 'cors',
    request(x) {
      const head = x.head;
      const count = head.count(ids.origin);
      const allowed = count === 1 ? originField(head.valueAt(ids.origin, 0)) : null;
      const preflight = count > 0 && head.method === 'OPTIONS' && head.has(ids.requestMethod);
      x.slots[slot] = (preflight ? 'preflight' : (allowed ?? 'none')) satisfies Found;
      return preflight ? answerPreflight(head, allowed) : null;
    },
    response(x, head) {
      const found = x.slots[slot] as Found;
      if (found !== 'preflight') mark(head, found === 'none' ? null : found);
    },
  };
}

/** The field for an origin, null where it is not allowed. The last answer is kept: pages call again and again. */
function originFields(settings: CorsSettings): (origin: string) => Field | null {
  if (settings.anyOrigin) return (origin) => (origin === '' ? null : anyOriginField);
  let lastOrigin = '';
  let lastField: Field | null = null;
  return (origin) => {
    if (origin !== lastOrigin) {
      lastField = isAllowedOrigin(settings, origin) ? makeField('access-control-allow-origin', origin) : null;
      lastOrigin = origin;
    }
    return lastField;
  };
}

function responseMarks(settings: CorsSettings): (head: Head, allowed: Field | null) => void {
  const fields: Field[] = [];
  if (settings.credentials) fields.push(credentialsField);
  if (settings.expose.length > 0) fields.push(makeField('access-control-expose-headers', settings.expose.join(', ')));
  const varies = !settings.anyOrigin;
  return (head, allowed) => {
    removeUpstream(head);
    // Also without Origin: a cache must not give what it stored for one origin to another (Fetch, "CORS protocol and HTTP caches").
    if (varies && !variesByOrigin(head)) head.put(varyOriginField);
    if (allowed === null) return;
    head.put(allowed);
    for (const field of fields) head.put(field);
  };
}

function removeUpstream(head: Head): void {
  for (const id of upstreamIds) if (head.has(id)) head.remove(id);
}

function variesByOrigin(head: Head): boolean {
  if (!head.has(ids.vary)) return false;
  const count = head.count(ids.vary);
  for (let nth = 0; nth < count; nth++) {
    const names = head.valueAt(ids.vary, nth).toLowerCase().split(',');
    if (names.some((name) => name.trim() === 'origin' || name.trim() === '*')) return true;
  }
  return false;
}

/** The answer to a preflight (Fetch, section 4.9): what is allowed; the browser compares it with what it wants. */
function preflightOf(settings: CorsSettings, context: FilterContext): (head: Head, allowed: Field | null) => Answer {
  const varyField = makeField('vary', `${settings.anyOrigin ? '' : 'Origin, '}Access-Control-Request-Method, Access-Control-Request-Headers`);
  const fixed: Field[] = [varyField, makeField('access-control-max-age', String(settings.maxAgeSeconds))];
  if (settings.credentials) fixed.push(credentialsField);
  if (settings.methods !== null && settings.methods.length > 0) fixed.push(makeField('access-control-allow-methods', settings.methods.join(', ')));
  if (settings.headers !== null && settings.headers.length > 0) fixed.push(makeField('access-control-allow-headers', settings.headers.join(', ')));
  const denied = context.refuse(corsOriginDenied, '/origins', 'no entry allows this origin', [varyField]);
  return (head, allowed) => {
    if (allowed === null) return denied;
    const fields = [allowed, ...fixed];
    if (settings.methods === null) pushRequestedMethod(head, fields);
    if (settings.headers === null) pushRequestedHeaders(head, fields);
    if (settings.privateNetwork && head.valueAt(ids.requestPrivateNetwork, 0) === 'true') fields.push(privateNetworkField);
    return { ...context.refuse(corsPreflight, '', '', fields), body: noBody };
  };
}

const noBody = new Uint8Array(0);

function pushRequestedMethod(head: Head, fields: Field[]): void {
  const method = head.valueAt(ids.requestMethod, 0);
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(method)) fields.push(makeField('access-control-allow-methods', method));
}

/** The requested names, given back where they are a list of names. */
function pushRequestedHeaders(head: Head, fields: Field[]): void {
  if (!head.has(ids.requestHeaders)) return;
  const names = head.valueAt(ids.requestHeaders, 0);
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z, \t-]{1,4096}$/.test(names)) fields.push(makeField('access-control-allow-headers', names));
}
