import type { Subject, SubjectKey } from '@remora/core/subject';
import { subjectKey } from '@remora/core/subject';
import { routesOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import type { Spot } from '../resolve/place-policies.ts';
import type { KindSide, PolicyBucket } from '../resolve/policy-index.ts';

/**
 * Every spot at which a subject's policies must be free of contradictions: its own provider side, calls to it (also by
 * callers that a policy names and that do not depend on it yet), and its own calls.
 */
export function* spotsOf(state: DocumentState, subject: Subject): Generator<{ readonly side: KindSide; readonly spot: Spot }> {
  const owner = subjectKey(subject);
  const routes = namedRoutes(state, owner);
  for (const route of routes) {
    yield { side: 'provider', spot: { owner, route, caller: '', callerRoute: '' } };
    yield { side: 'caller', spot: { owner, route, caller: '', callerRoute: '' } };
  }
  if (subject.kind === 'service') {
    for (const caller of namedCallers(state, subject.name)) for (const route of routes) yield { side: 'caller', spot: { owner, route, caller, callerRoute: '' } };
  }
  yield* callsOf(state, subject);
}

/** Calls that a subject makes; those of a gateway also through each of its Routes that policies name. */
function* callsOf(state: DocumentState, subject: Subject): Generator<{ readonly side: KindSide; readonly spot: Spot }> {
  const caller = subjectKey(subject);
  for (const service of state.destinations.get(caller) ?? []) {
    const owner: SubjectKey = `service/${service}`;
    for (const route of namedRoutes(state, owner)) yield { side: 'caller', spot: { owner, route, caller, callerRoute: '' } };
  }
  if (subject.kind !== 'gateway') return;
  for (const { name, to } of routesOf(state, caller)) {
    if (!state.policies.namesRoute(caller, name)) continue;
    for (const service of new Set((to ?? []).flatMap((destination) => destination.service ?? []))) {
      const owner: SubjectKey = `service/${service}`;
      for (const route of namedRoutes(state, owner)) yield { side: 'caller', spot: { owner, route, caller, callerRoute: name } };
    }
  }
}

/** '' and the Routes that some policy names; all others have what their owner has. */
function namedRoutes(state: DocumentState, owner: SubjectKey): string[] {
  return ['', ...routesOf(state, owner).flatMap(({ name }) => (state.policies.namesRoute(owner, name) ? [name] : []))];
}

/** Callers that a policy for this service, or one of its Routes, names in `from`. */
function namedCallers(state: DocumentState, service: string): ReadonlySet<SubjectKey> {
  const callers = new Set<SubjectKey>();
  const look = (bucket: PolicyBucket): void => {
    for (const { policy } of bucket.narrowed) {
      if (policy.from?.service !== undefined) callers.add(`service/${policy.from.service}`);
      if (policy.from?.gateway !== undefined) callers.add(`gateway/${policy.from.gateway}`);
    }
  };
  look(state.policies.bucket('service', service));
  for (const { name } of routesOf(state, `service/${service}`)) look(state.policies.bucket('serviceRoute', service, name));
  return callers;
}
