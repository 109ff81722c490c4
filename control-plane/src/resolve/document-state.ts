import type { Steps } from '@remora/core/steps';
import { subjectKey } from '@remora/core/subject';
import type { SubjectKey } from '@remora/core/subject';
import type { CanaryDocument } from '@remora/model/canary-schema';
import type { ConsumerDocument } from '@remora/model/consumer-schema';
import type { GatewayDocument } from '@remora/model/gateway-schema';
import type { MeshDocument } from '@remora/model/mesh-schema';
import type { MeshModelDocument } from '@remora/model/model';
import type { PlanDocument } from '@remora/model/plan-schema';
import type { PolicyDocument } from '@remora/model/policy-schema';
import type { RouteDocument } from '@remora/model/route-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { mergeInSteps, sortInSteps } from '../sort-in-steps.ts';
import type { DocumentKey } from '../store/store.ts';
import { PolicyIndex } from './policy-index.ts';

/** One state of the documents, indexed. Immutable: `changeState` answers another one that shares what is the same. */
export interface DocumentState {
  readonly mesh: MeshDocument | null;
  readonly services: ReadonlyMap<string, ServiceDocument>;
  readonly gateways: ReadonlyMap<string, GatewayDocument>;
  readonly routeByName: ReadonlyMap<string, RouteDocument>;
  /** By owner, sorted by name. */
  readonly routes: ReadonlyMap<SubjectKey, readonly RouteDocument[]>;
  readonly policies: PolicyIndex;
  readonly consumers: ReadonlyMap<string, ConsumerDocument>;
  readonly plans: ReadonlyMap<string, PlanDocument>;
  readonly canaries: ReadonlyMap<string, CanaryDocument>;
  /** Services that a subject may call, sorted. */
  readonly destinations: ReadonlyMap<SubjectKey, readonly string[]>;
  /** Who may call a service: the inverse. */
  readonly callers: ReadonlyMap<string, ReadonlySet<SubjectKey>>;
}

export function emptyState(kinds: ReadonlyMap<string, AuthoringKind>): DocumentState {
  return {
    mesh: null, services: new Map(), gateways: new Map(), routeByName: new Map(), routes: new Map(),
    policies: PolicyIndex.empty(kinds), consumers: new Map(), plans: new Map(), canaries: new Map(), destinations: new Map(), callers: new Map(),
  };
}

/** Subject that a Route belongs to. */
export function ownerOf(route: RouteDocument): SubjectKey {
  return route.gateway === undefined ? `service/${route.service ?? ''}` : `gateway/${route.gateway}`;
}

export function routesOf(state: DocumentState, owner: SubjectKey): readonly RouteDocument[] {
  return state.routes.get(owner) ?? [];
}

/** Keys to their new document; undefined: deleted. Documents are valid by themselves. */
export function* changeState(state: DocumentState, changes: ReadonlyMap<DocumentKey, MeshModelDocument | undefined>): Steps<DocumentState> {
  const builder = new StateBuilder(state);
  let looked = 0;
  for (const [key, document] of changes) {
    builder.change(key, document);
    if (++looked % changesPerStep === 0) yield;
  }
  yield;
  return yield* builder.finish();
}

const changesPerStep = 256;

class StateBuilder {
  readonly #before: DocumentState;
  #mesh: MeshDocument | null;
  readonly #services: Map<string, ServiceDocument>;
  readonly #gateways: Map<string, GatewayDocument>;
  #routeByName: Map<string, RouteDocument> | null = null;
  readonly #policies = new Map<string, PolicyDocument | undefined>();
  #consumers: Map<string, ConsumerDocument> | null = null;
  #plans: Map<string, PlanDocument> | null = null;
  #canaries: Map<string, CanaryDocument> | null = null;
  /** Owners whose Routes change: names that go, documents that come. */
  readonly #routeChanges = new Map<SubjectKey, { readonly gone: Set<string>; readonly come: RouteDocument[] }>();
  readonly #touched = new Set<SubjectKey>();

  constructor(before: DocumentState) {
    this.#before = before;
    this.#mesh = before.mesh;
    this.#services = new Map(before.services);
    this.#gateways = new Map(before.gateways);
  }

  change(key: DocumentKey, document: MeshModelDocument | undefined): void {
    const slash = key.indexOf('/');
    const name = key.slice(slash + 1);
    switch (key.slice(0, slash)) {
      case 'Mesh':
        this.#mesh = (document as MeshDocument | undefined) ?? null;
        break;
      case 'Service':
        replace(this.#services, name, document as ServiceDocument | undefined);
        this.#touched.add(subjectKey({ kind: 'service', name }));
        break;
      case 'Gateway':
        replace(this.#gateways, name, document as GatewayDocument | undefined);
        this.#touched.add(subjectKey({ kind: 'gateway', name }));
        break;
      case 'Route':
        this.#changeRoute(name, document as RouteDocument | undefined);
        break;
      case 'Consumer':
        replace(this.#consumers ??= new Map(this.#before.consumers), name, document as ConsumerDocument | undefined);
        break;
      case 'Plan':
        replace(this.#plans ??= new Map(this.#before.plans), name, document as PlanDocument | undefined);
        break;
      case 'Canary':
        replace(this.#canaries ??= new Map(this.#before.canaries), name, document as CanaryDocument | undefined);
        break;
      default:
        this.#policies.set(name, document as PolicyDocument | undefined);
    }
  }

  #changeRoute(name: string, route: RouteDocument | undefined): void {
    this.#routeByName ??= new Map(this.#before.routeByName);
    const before = this.#routeByName.get(name);
    if (before) this.#ownerChanges(ownerOf(before)).gone.add(name);
    if (route) this.#ownerChanges(ownerOf(route)).come.push(route);
    replace(this.#routeByName, name, route);
  }

  #ownerChanges(owner: SubjectKey): { readonly gone: Set<string>; readonly come: RouteDocument[] } {
    let changes = this.#routeChanges.get(owner);
    if (!changes) this.#routeChanges.set(owner, changes = { gone: new Set(), come: [] });
    this.#touched.add(owner);
    return changes;
  }

  *finish(): Steps<DocumentState> {
    const routes = yield* this.#finishRoutes();
    yield;
    const { destinations, callers } = this.#finishCalls(routes);
    return {
      mesh: this.#mesh, services: this.#services, gateways: this.#gateways, routeByName: this.#routeByName ?? this.#before.routeByName,
      routes, policies: this.#before.policies.change(this.#policies),
      consumers: this.#consumers ?? this.#before.consumers, plans: this.#plans ?? this.#before.plans, canaries: this.#canaries ?? this.#before.canaries, destinations, callers,
    };
  }

  *#finishRoutes(): Steps<ReadonlyMap<SubjectKey, readonly RouteDocument[]>> {
    if (this.#routeChanges.size === 0) return this.#before.routes;
    const routes = new Map(this.#before.routes);
    for (const [owner, { gone, come }] of this.#routeChanges) {
      const kept = (routes.get(owner) ?? []).filter(({ name }) => !gone.has(name));
      const list = yield* mergeInSteps(kept, yield* sortInSteps(come, byName), byName);
      if (list.length === 0) routes.delete(owner);
      else routes.set(owner, list);
    }
    return routes;
  }

  #finishCalls(routes: ReadonlyMap<SubjectKey, readonly RouteDocument[]>): Pick<DocumentState, 'destinations' | 'callers'> {
    const moved: { readonly caller: SubjectKey; readonly before: readonly string[]; readonly after: readonly string[] }[] = [];
    for (const caller of this.#touched) {
      const before = this.#before.destinations.get(caller) ?? [];
      const after = this.#destinationsOf(caller, routes);
      if (before.length !== after.length || before.some((name, i) => name !== after[i])) moved.push({ caller, before, after });
    }
    if (moved.length === 0) return this.#before;
    const destinations = new Map(this.#before.destinations);
    const callers = new Map(this.#before.callers);
    const own = new Map<string, Set<SubjectKey>>();
    const setOf = (service: string): Set<SubjectKey> => {
      let set = own.get(service);
      if (!set) own.set(service, set = new Set(callers.get(service)));
      return set;
    };
    for (const { caller, before, after } of moved) {
      for (const service of before) setOf(service).delete(caller);
      for (const service of after) setOf(service).add(caller);
      if (after.length === 0) destinations.delete(caller);
      else destinations.set(caller, after);
    }
    for (const [service, set] of own) {
      if (set.size === 0) callers.delete(service);
      else callers.set(service, set);
    }
    return { destinations, callers };
  }

  #destinationsOf(caller: SubjectKey, routes: ReadonlyMap<SubjectKey, readonly RouteDocument[]>): readonly string[] {
    const slash = caller.indexOf('/');
    const name = caller.slice(slash + 1);
    if (caller.startsWith('service/')) return [...(this.#services.get(name)?.dependsOn ?? [])].sort();
    if (!this.#gateways.has(name)) return [];
    const services = new Set<string>();
    for (const route of routes.get(caller) ?? []) for (const { service } of route.to ?? []) if (service !== undefined) services.add(service);
    return [...services].sort();
  }
}

function byName(a: RouteDocument, b: RouteDocument): number {
  return a.name < b.name ? -1 : 1;
}

function replace<T>(map: Map<string, T>, name: string, value: T | undefined): void {
  if (value === undefined) map.delete(name);
  else map.set(name, value);
}
