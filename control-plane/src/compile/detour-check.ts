import type { JsonObject } from '@remora/core/canonical-json';
import type { SubjectKey } from '@remora/core/subject';
import { suggest } from '@remora/core/suggest';
import type { Violation } from '@remora/core/violation';
import { sectionOf, type PolicyDocument } from '@remora/model/policy-schema';
import type { DocumentState } from '../resolve/document-state.ts';
import { callsFrom, targetCovers } from '../resolve/place-policies.ts';
import type { PolicyRecord } from '../resolve/policy-index.ts';
import type { DocumentKey } from '../store/store.ts';

/** Sections that send calls to another destination than the one they were for: that one must be there, and whoever calls must be told of it. */
const detouring = ['fallback', 'mirror'] as const;

/**
 * Where policies send calls elsewhere: of the changed policies, or of all of them where something changed that decides over who calls whom. `excused`: names
 * that are being written and cannot be read.
 */
export function detourProblems(state: DocumentState, keys: readonly DocumentKey[], excused: ReadonlySet<DocumentKey>): Violation[] {
  const callsMayDiffer = keys.some((key) => !key.startsWith('Policy/'));
  const records = callsMayDiffer ? [...state.policies.records()] : keys.map((key) => state.policies.record(key.slice('Policy/'.length)));
  return records.flatMap((record) => (record === undefined ? [] : detouring.flatMap((kind) => problemsOf(state, record, kind, excused))));
}

/** The Services that a policy sends calls to, with where it says so. */
export function detoursOf(policy: PolicyDocument): { readonly pointer: string; readonly service: string; readonly port: string }[] {
  return detouring.flatMap((kind) => {
    const to = sectionOf(policy, kind)?.['to'];
    if (typeof to !== 'object' || to === null || Array.isArray(to)) return [];
    const { service, port } = to as JsonObject;
    return typeof service === 'string' ? [{ pointer: `/${kind}/to`, service, port: typeof port === 'string' ? port : '' }] : [];
  });
}

function problemsOf(state: DocumentState, record: PolicyRecord, kind: (typeof detouring)[number], excused: ReadonlySet<DocumentKey>): Violation[] {
  const { policy } = record;
  const document = `Policy/${policy.name}`;
  const detour = detoursOf(policy).find(({ pointer }) => pointer === `/${kind}/to`);
  if (detour === undefined || excused.has(`Service/${detour.service}`)) return [];
  const { pointer, service, port } = detour;
  const found = state.services.get(service);
  if (found === undefined) {
    const suggestion = suggest(service, [...state.services.keys()]);
    return [{ document, pointer: `${pointer}/service`, code: 'unknown-service', message: `there is no service ${service}`, ...(suggestion !== undefined && { suggestion }) }];
  }
  const names = Object.keys(found.ports);
  if (port !== '' && !names.includes(port)) return [{ document, pointer: `${pointer}/port`, code: 'unknown-port', message: `Service/${service} has no port ${port}`, expected: `one of ${names.join(', ')}` }];
  if (port === '' && names.length > 1 && !names.includes('http')) {
    return [{ document, pointer: `${pointer}/port`, code: 'ambiguous-port', message: `Service/${service} has several ports and none is named http`, expected: `one of ${names.join(', ')}` }];
  }
  if (policy.target.service === service && (port === '' || names.length === 1) && !narrowed(policy, kind)) {
    return [{
      document, pointer: `${pointer}/service`, code: 'contradiction', message: kind === 'fallback' ? `calls that failed at ${service} would be sent to ${service}` : `${service} would get each of its own requests twice`,
      expected: 'another service, or labels of other instances of it',
    }];
  }
  const lost = callersWithout(state, record, service);
  if (lost.length === 0) return [];
  const [first, ...others] = lost;
  const more = others.length === 0 ? '' : `, and ${others.length} more (${others.slice(0, shownMax).map(({ caller }) => caller).join(', ')}${others.length > shownMax ? ' …' : ''})`;
  return [{
    document, pointer: `${pointer}/service`, code: 'not-a-destination',
    message: `${first?.caller} calls ${first?.called} under this policy, and may not call ${service}${more}`,
    expected: `${service} among what each of them may call (dependsOn of the Service, a Route of the gateway), or a narrower target or from`,
  }];
}

/** To some instances of the service. */
function narrowed(policy: PolicyDocument, kind: (typeof detouring)[number]): boolean {
  const { labels } = (sectionOf(policy, kind)?.['to'] ?? {}) as JsonObject;
  return typeof labels === 'object' && labels !== null && Object.keys(labels).length > 0;
}

/** Who calls what the policy is about, and may not call `service`. */
function callersWithout(state: DocumentState, record: PolicyRecord, service: string): { readonly caller: SubjectKey; readonly called: string }[] {
  const lost: { readonly caller: SubjectKey; readonly called: string }[] = [];
  for (const [caller, destinations] of state.destinations) {
    if (destinations.includes(service) || !callsFrom(state, record, caller)) continue;
    const called = destinations.find((name) => concerns(state, record, caller, name));
    if (called !== undefined) lost.push({ caller, called });
  }
  return lost;
}

function concerns(state: DocumentState, { policy: { target } }: PolicyRecord, caller: SubjectKey, called: string): boolean {
  const { route: _route, ...place } = target;
  return Object.keys(place).length === 0 || targetCovers(state, place, { owner: `service/${called}`, route: '', caller, callerRoute: '' });
}

const shownMax = 5;
