import type { SubjectKey } from '@remora/core/subject';
import type { Violation } from '@remora/core/violation';
import { sectionsOf, type PolicyDocument } from '@remora/model/policy-schema';
import type { RouteDocument } from '@remora/model/route-schema';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { ownerOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import { carriesTcp, isTcpRoute, tcpPortsOf } from '../resolve/tcp-ports.ts';
import type { DocumentKey } from '../store/store.ts';

/**
 * What documents ask of ports that carry TCP and cannot have: there is no request to match, rewrite or answer, and of the kinds only some hold for
 * connections. Inherited ones are ignored there (explain says so); a policy that is for nothing else is a mistake.
 */
export function tcpProblems(state: DocumentState, key: DocumentKey, kinds: ReadonlyMap<string, AuthoringKind>): Violation[] {
  const slash = key.indexOf('/');
  const name = key.slice(slash + 1);
  const kind = key.slice(0, slash);
  const route = kind === 'Route' ? state.routeByName.get(name) : undefined;
  if (route !== undefined) return routeProblems(state, route);
  const record = kind === 'Policy' ? state.policies.record(name) : undefined;
  return record === undefined ? [] : policyProblems(state, record.policy, kinds);
}

function routeProblems(state: DocumentState, route: RouteDocument): Violation[] {
  const owner = ownerOf(route);
  const ports = tcpPortsOf(state, owner);
  const field = route.gateway === undefined ? 'ports' : 'listeners';
  const named = route.ports ?? route.listeners ?? [];
  const about = (pointer: string, code: string, message: string, expected?: string): Violation => ({ document: `Route/${route.name}`, pointer, code, message, ...(expected === undefined ? {} : { expected }) });
  if (named.length === 0) {
    if (ports.all.length === 0 || ports.tcp.length < ports.all.length) return targetProblems(state, route, false);
    return [about('', 'never-applies', `a Route that names no ${field} is for requests, and every one of ${owner} carries TCP`, `${field}: [${ports.all.join(', ')}]`)];
  }
  const tcp = named.filter((port) => ports.tcp.includes(port));
  if (tcp.length === 0) return targetProblems(state, route, false);
  if (tcp.length < named.length) return [about(`/${field}`, 'mixed-protocols', `${tcp.join(', ')} carries TCP, the others carry requests`, 'a Route for each')];
  const found: Violation[] = [];
  for (const action of ['rewrite', 'redirect', 'respond', 'sticky'] as const) {
    if (route[action] !== undefined) found.push(about(`/${action}`, 'needs-requests', `there is no request to ${doing[action]} on ${tcp.join(', ')}: it carries TCP`, action === 'sticky' ? undefined : 'to'));
  }
  found.push(...matchProblems(state, route, tcp, about), ...targetProblems(state, route, true));
  return found;
}

const doing = { rewrite: 'rewrite', redirect: 'redirect', respond: 'answer', sticky: 'look at' } as const;

/** Only a ClientHello that a gateway passes on names a host. */
function matchProblems(state: DocumentState, route: RouteDocument, tcp: readonly string[], about: (pointer: string, code: string, message: string, expected?: string) => Violation): Violation[] {
  const listeners = state.gateways.get(route.gateway ?? '')?.listeners ?? {};
  const named = route.gateway !== undefined && tcp.every((listener) => listeners[listener]?.protocol === 'tls');
  return Object.keys(route.match ?? {}).filter((condition) => condition !== 'hosts' || !named).map((condition) => {
    const why = condition === 'hosts' ? 'the host is only known where a gateway\'s listener has protocol tls' : 'there is no request to look at';
    return about(`/match/${condition}`, 'needs-requests', `${tcp.join(', ')} carries TCP: ${why}`, named ? 'hosts' : 'no match');
  });
}

/** A gateway's Route leads connections to ports that carry TCP, and requests to others. */
function targetProblems(state: DocumentState, route: RouteDocument, tcp: boolean): Violation[] {
  if (route.gateway === undefined) return [];
  return (route.to ?? []).flatMap(({ service, port }, i): Violation[] => {
    const ports = state.services.get(service ?? '')?.ports ?? {};
    const names = Object.keys(ports);
    const name = port ?? (names.includes('http') ? 'http' : names.length === 1 ? (names[0] ?? '') : '');
    const known = ports[name];
    if (known === undefined || carriesTcp(known.protocol) === tcp) return [];
    const fitting = names.filter((one) => carriesTcp(ports[one]?.protocol) === tcp);
    return [{
      document: `Route/${route.name}`, pointer: `/to/${i}/port`, code: 'wrong-protocol',
      message: tcp ? `port ${name} of Service/${service} takes requests, the listener carries TCP` : `port ${name} of Service/${service} carries TCP, the listener takes requests`,
      ...(fitting.length === 0 ? {} : { expected: `one of ${fitting.join(', ')}` }),
    }];
  });
}

function policyProblems(state: DocumentState, policy: PolicyDocument, kinds: ReadonlyMap<string, AuthoringKind>): Violation[] {
  const { target } = policy;
  const owner: SubjectKey | null = target.service !== undefined ? `service/${target.service}` : target.gateway !== undefined ? `gateway/${target.gateway}` : null;
  if (owner === null) return [];
  const route = target.route === undefined ? undefined : state.routeByName.get(target.route);
  const { tcp, all } = tcpPortsOf(state, owner);
  const nothingElse = route === undefined ? target.route === undefined && all.length > 0 && tcp.length === all.length : isTcpRoute(state, route);
  if (!nothingElse) return [];
  const what = route === undefined ? `every port of ${owner}` : `Route/${route.name}`;
  return sectionsOf(policy).filter((name) => kinds.get(name)?.tcp !== true).map((name) => ({
    document: `Policy/${policy.name}`, pointer: `/${name}`, code: 'needs-requests', message: `${name} holds for requests, and ${what} carries TCP: it would do nothing`,
    expected: `one of ${[...kinds.values()].filter((kind) => kind.tcp === true).map((kind) => kind.name).join(', ')}`,
  }));
}
