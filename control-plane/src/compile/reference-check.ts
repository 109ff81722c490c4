import { suggest } from '@remora/core/suggest';
import type { SubjectKey } from '@remora/core/subject';
import type { Violation } from '@remora/core/violation';
import type { PolicyDocument } from '@remora/model/policy-schema';
import type { RouteDocument } from '@remora/model/route-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import type { TargetDocument } from '@remora/model/target-schema';
import { ownerOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';

/** What a document names and is not there. */
export function serviceProblems(state: DocumentState, service: ServiceDocument): Violation[] {
  const document = `Service/${service.name}`;
  return (service.dependsOn ?? []).flatMap((name, i) => (state.services.has(name) ? [] : [unknown(document, `/dependsOn/${i}`, 'service', name, state.services.keys())]));
}

export function routeProblems(state: DocumentState, route: RouteDocument): Violation[] {
  const document = `Route/${route.name}`;
  const found: Violation[] = [];
  if (route.service !== undefined) {
    const service = state.services.get(route.service);
    if (!service) found.push(unknown(document, '/service', 'service', route.service, state.services.keys()));
    else found.push(...unknownNames(document, '/ports', 'port', route.ports, Object.keys(service.ports), `Service/${route.service}`));
  }
  if (route.gateway !== undefined) {
    const gateway = state.gateways.get(route.gateway);
    if (!gateway) found.push(unknown(document, '/gateway', 'gateway', route.gateway, state.gateways.keys()));
    else found.push(...unknownNames(document, '/listeners', 'listener', route.listeners, Object.keys(gateway.listeners), `Gateway/${route.gateway}`));
  }
  for (const [i, { service, port }] of (route.to ?? []).entries()) {
    if (service === undefined) continue;
    const destination = state.services.get(service);
    if (!destination) {
      found.push(unknown(document, `/to/${i}/service`, 'service', service, state.services.keys()));
      continue;
    }
    const names = Object.keys(destination.ports);
    if (port !== undefined) found.push(...unknownNames(document, `/to/${i}`, 'port', [port], names, `Service/${service}`, 'port'));
    else if (names.length > 1 && !names.includes('http')) {
      found.push({ document, pointer: `/to/${i}/port`, code: 'ambiguous-port', message: `Service/${service} has several ports and none is named http`, expected: `one of ${names.join(', ')}` });
    }
  }
  return found;
}

export function policyProblems(state: DocumentState, policy: PolicyDocument): Violation[] {
  const document = `Policy/${policy.name}`;
  const found = targetProblems(state, document, '/target', policy.target);
  if (policy.from?.service !== undefined && !state.services.has(policy.from.service)) found.push(unknown(document, '/from/service', 'service', policy.from.service, state.services.keys()));
  if (policy.from?.gateway !== undefined && !state.gateways.has(policy.from.gateway)) found.push(unknown(document, '/from/gateway', 'gateway', policy.from.gateway, state.gateways.keys()));
  for (const [i, bound] of (policy.bounds ?? []).entries()) {
    for (const [n, target] of (bound.except ?? []).entries()) found.push(...targetProblems(state, document, `/bounds/${i}/except/${n}`, target));
  }
  return found;
}

function targetProblems(state: DocumentState, document: string, pointer: string, target: TargetDocument): Violation[] {
  if (target.service !== undefined && !state.services.has(target.service)) return [unknown(document, `${pointer}/service`, 'service', target.service, state.services.keys())];
  if (target.gateway !== undefined && !state.gateways.has(target.gateway)) return [unknown(document, `${pointer}/gateway`, 'gateway', target.gateway, state.gateways.keys())];
  if (target.route === undefined) return [];
  const owner: SubjectKey = target.service === undefined ? `gateway/${target.gateway ?? ''}` : `service/${target.service}`;
  const route = state.routeByName.get(target.route);
  if (route !== undefined && ownerOf(route) === owner) return [];
  const own = (state.routes.get(owner) ?? []).map(({ name }) => name);
  const violation = unknown(document, `${pointer}/route`, 'route', target.route, own);
  return [route === undefined ? violation : { ...violation, message: `Route/${target.route} belongs to ${ownerOf(route)}, not to ${owner}` }];
}

function unknownNames(document: string, pointer: string, what: string, names: readonly string[] | undefined, known: readonly string[], owner: string, field?: string): Violation[] {
  return (names ?? []).flatMap((name, i) => {
    if (known.includes(name)) return [];
    const violation = unknown(document, `${pointer}/${field ?? i}`, what, name, known);
    return [{ ...violation, message: `${owner} has no ${what} ${name}` }];
  });
}

function unknown(document: string, pointer: string, what: string, name: string, known: Iterable<string>): Violation {
  const names = [...known];
  const suggestion = suggest(name, names);
  const expected = names.length === 0 ? `there is no ${what} yet` : names.length <= 12 ? `one of ${names.sort().join(', ')}` : undefined;
  return {
    document, pointer, code: `unknown-${what}`, message: `there is no ${what} ${name}`,
    ...(expected === undefined ? {} : { expected }), ...(suggestion === undefined ? {} : { suggestion }),
  };
}
