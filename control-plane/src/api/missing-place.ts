import { subjectKey } from '@remora/core/subject';
import type { Subject } from '@remora/core/subject';
import { suggest } from '@remora/core/suggest';
import { routesOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import type { Place } from '../resolve/effective.ts';

/** Which part of a place does not exist, with the nearest name that does. */
export function missingPlaceText(state: DocumentState, { owner, route, caller }: Place): string {
  return missingSubject(state, owner)
    ?? (route === undefined ? null : missingRoute(state, owner, route))
    ?? (caller === undefined ? null : missingSubject(state, caller))
    ?? (caller?.route === undefined ? null : missingRoute(state, caller, caller.route))
    ?? `${caller === undefined ? '' : `${subjectKey(caller)} does not call `}${subjectKey(owner)}`;
}

function missingSubject(state: DocumentState, { kind, name }: Subject): string | null {
  const known = kind === 'service' ? state.services : state.gateways;
  return known.has(name) ? null : `there is no ${kind} ${name}${meant(name, known.keys())}`;
}

function missingRoute(state: DocumentState, owner: Subject, route: string): string | null {
  const names = routesOf(state, subjectKey(owner)).map(({ name }) => name);
  return names.includes(route) ? null : `${owner.kind} ${owner.name} has no route ${route}${meant(route, names)}`;
}

function meant(name: string, known: Iterable<string>): string {
  const near = suggest(name, known);
  return near === undefined ? '' : `; did you mean ${near}?`;
}
