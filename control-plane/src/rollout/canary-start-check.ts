import type { JsonObject } from '@remora/core/canonical-json';
import type { Violation } from '@remora/core/violation';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { RouteDestination, RouteDocument } from '@remora/model/route-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import { carriesTcp } from '../resolve/tcp-ports.ts';
import type { DocumentKey, StoredDocument } from '../store/store.ts';
import { labelsText } from './canary-routes.ts';

type Documents = ReadonlyMap<DocumentKey, Pick<StoredDocument, 'document'>>;
type Found = Pick<Violation, 'pointer' | 'code' | 'message' | 'expected'>;

/**
 * What stands in the way of a run that begins with these documents, whose references are right. Looked at when a Canary is written: a document that has
 * run may stay beside Routes that mean something else by now. `again`: a run before made the Route of its name.
 */
export function startProblems(canary: CanaryDocument, documents: Documents, again: boolean): Violation[] {
  const service = documents.get(`Service/${canary.service}`)?.document as unknown as ServiceDocument | undefined;
  const found = [...serviceProblems(canary, service), ...(canary.routes === undefined ? ownRouteProblems(canary, documents, service, again) : canary.routes.flatMap((name, i) => routeProblems(canary, name, `/routes/${i}`, documents, service)))];
  return found.map((one) => ({ document: `Canary/${canary.name}`, ...one }));
}

function serviceProblems({ service: name }: CanaryDocument, service: ServiceDocument | undefined): Found[] {
  if (service === undefined || Object.values(service.ports).some(({ protocol }) => !carriesTcp(protocol))) return [];
  return [{ pointer: '/service', code: 'never-applies', message: `a canary is judged by requests, and every port of Service/${name} carries TCP` }];
}

function ownRouteProblems(canary: CanaryDocument, documents: Documents, serviceDocument: ServiceDocument | undefined, again: boolean): Found[] {
  const { name, service } = canary;
  if (documents.has(`Route/${name}`)) {
    if (again) return routeProblems(canary, name, '/routes', documents, serviceDocument);
    return [{ pointer: '/routes', code: 'contradiction', message: `without routes the canary makes a Route of its own name, and Route/${name} is there already`, expected: `routes: [${name}], or another name` }];
  }
  const other = routeOfAll(documents, service);
  if (other === null) return [];
  return [{ pointer: '/routes', code: 'contradiction', message: `Route/${other} takes all requests of Service/${service}: one of the canary's own would get none`, expected: `routes: [${other}]` }];
}

/** Name of a Route that takes every request of a service. */
function routeOfAll(documents: Documents, service: string): string | null {
  for (const [key, { document }] of documents) if (key.startsWith('Route/') && document['service'] === service && takesAll(document)) return key.slice('Route/'.length);
  return null;
}

function takesAll({ match, ports }: JsonObject): boolean {
  return ports === undefined && (match === undefined || Object.keys(match as JsonObject).length === 0);
}

function routeProblems(canary: CanaryDocument, name: string, pointer: string, documents: Documents, service: ServiceDocument | undefined): Found[] {
  const route = documents.get(`Route/${name}`)?.document as unknown as RouteDocument | undefined;
  if (route === undefined) return [];
  const contradiction = (message: string, expected?: string): Found[] => [{ pointer, code: 'contradiction', message, ...(expected !== undefined && { expected }) }];
  const answers = (['redirect', 'respond'] as const).find((action) => route[action] !== undefined);
  if (answers !== undefined) return contradiction(`Route/${name} answers by itself (${answers}): it has no weights to move`);
  if ((route.ports ?? []).some((port) => carriesTcp(service?.ports[port]?.protocol))) return contradiction(`Route/${name} is for connections: a canary is judged by requests`);
  const sides = [labelsText(canary.stable.labels), labelsText(canary.candidate.labels)];
  const weighted = (route.to ?? []).filter(({ weight }) => weight !== 0);
  const other = weighted.find((entry) => !['', ...sides].includes(entryText(entry)));
  if (other !== undefined) return contradiction(`Route/${name} also sends to ${entryText(other)}, which is neither stable nor the candidate`, 'a Route whose `to` names nothing else');
  if (weighted.length > 0 && weighted.every((entry) => entryText(entry) === sides[1])) return contradiction(`Route/${name} sends everything to the candidate already`, 'a Route that sends to stable');
  return [];
}

function entryText({ labels }: RouteDestination): string {
  return labelsText(labels ?? {});
}
