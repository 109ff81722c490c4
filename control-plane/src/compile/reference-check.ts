import { joinPointer } from '@remora/core/pointer';
import { suggest } from '@remora/core/suggest';
import type { SubjectKey } from '@remora/core/subject';
import type { Violation } from '@remora/core/violation';
import type { CanaryDocument } from '@remora/model/canary-schema';
import { identityKey } from '@remora/model/consumer-schema';
import type { ConsumerDocument } from '@remora/model/consumer-schema';
import { sectionOf } from '@remora/model/policy-schema';
import type { PolicyDocument } from '@remora/model/policy-schema';
import type { RouteDocument } from '@remora/model/route-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import type { TargetDocument } from '@remora/model/target-schema';
import { planStoreUses, policyStoreUses, storeProblems } from './store-use.ts';
import { ownerOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import type { DocumentKey } from '../store/store.ts';

/** Finds what documents name and is not there. */
export class ReferenceCheck {
  readonly #state: DocumentState;
  /** Documents that are being written and cannot be read: naming them is no mistake. */
  readonly #excused: ReadonlySet<DocumentKey>;
  #owners: ReadonlyMap<string, readonly string[]> | null = null;

  constructor(state: DocumentState, excused: ReadonlySet<DocumentKey>) {
    this.#state = state;
    this.#excused = excused;
  }

  /** Nothing for documents that are not there. */
  problemsOf(key: DocumentKey): Violation[] {
    const slash = key.indexOf('/');
    const name = key.slice(slash + 1);
    const kind = key.slice(0, slash);
    const [service, route, policy] = [this.#state.services.get(name), this.#state.routeByName.get(name), this.#state.policies.record(name)];
    if (kind === 'Service' && service) return this.#service(service);
    if (kind === 'Route' && route) return this.#route(route);
    if (kind === 'Consumer') return this.#consumer(this.#state.consumers.get(name));
    if (kind === 'Canary') return this.#canary(this.#state.canaries.get(name));
    if (kind === 'Plan') return storeProblems(key, planStoreUses(this.#state.plans.get(name)), this.#hasStore);
    return kind === 'Policy' && policy ? [...this.#policy(policy.policy), ...storeProblems(key, policyStoreUses(policy.policy), this.#hasStore)] : [];
  }

  get #hasStore(): boolean {
    return this.#state.mesh?.stores?.redis !== undefined || this.#excused.has('Mesh/mesh');
  }

  #service(service: ServiceDocument): Violation[] {
    return (service.dependsOn ?? []).flatMap((name, i) => this.#named(`Service/${service.name}`, `/dependsOn/${i}`, 'Service', name));
  }

  #route(route: RouteDocument): Violation[] {
    const document = `Route/${route.name}`;
    const found: Violation[] = [];
    if (route.service !== undefined) {
      found.push(...this.#named(document, '/service', 'Service', route.service));
      found.push(...this.#parts(document, route.ports?.map((name, i) => ({ name, pointer: `/ports/${i}` })), `Service/${route.service}`));
    }
    if (route.gateway !== undefined) {
      found.push(...this.#named(document, '/gateway', 'Gateway', route.gateway));
      found.push(...this.#parts(document, route.listeners?.map((name, i) => ({ name, pointer: `/listeners/${i}` })), `Gateway/${route.gateway}`));
    }
    for (const [i, { service, port }] of (route.to ?? []).entries()) {
      if (service !== undefined) found.push(...this.#destination(document, `/to/${i}`, service, port));
    }
    return found;
  }

  #destination(document: string, at: string, service: string, port: string | undefined): Violation[] {
    const missing = this.#named(document, `${at}/service`, 'Service', service);
    if (missing.length > 0) return missing;
    if (port !== undefined) return this.#parts(document, [{ name: port, pointer: `${at}/port` }], `Service/${service}`);
    const names = Object.keys(this.#state.services.get(service)?.ports ?? {});
    if (names.length < 2 || names.includes('http') || this.#excused.has(`Service/${service}`)) return [];
    return [{ document, pointer: `${at}/port`, code: 'ambiguous-port', message: `Service/${service} has several ports and none is named http`, expected: `one of ${names.join(', ')}` }];
  }

  #consumer(consumer: ConsumerDocument | undefined): Violation[] {
    if (consumer === undefined) return [];
    const document = `Consumer/${consumer.name}`;
    const found = consumer.plan === undefined || this.#state.plans.has(consumer.plan) || this.#excused.has(`Plan/${consumer.plan}`) ? [] : [unknown(document, '/plan', 'plan', consumer.plan, this.#state.plans.keys())];
    for (const [i, identity] of (consumer.identities ?? []).entries()) {
      const other = this.#identities().get(identityKey(identity))?.find((name) => name !== consumer.name);
      if (other !== undefined) found.push({ document, pointer: `/identities/${i}`, code: 'identity-taken', message: `Consumer/${other} has this identity: a token can be of one consumer only` });
    }
    return found;
  }

  /** Names of the consumers by what they are known by. */
  #identities(): ReadonlyMap<string, readonly string[]> {
    if (this.#owners !== null) return this.#owners;
    const owners = new Map<string, string[]>();
    for (const { name, identities } of this.#state.consumers.values()) {
      for (const identity of identities ?? []) {
        const key = identityKey(identity);
        const names = owners.get(key);
        if (names === undefined) owners.set(key, [name]);
        else names.push(name);
      }
    }
    return this.#owners = owners;
  }

  #canary(canary: CanaryDocument | undefined): Violation[] {
    if (canary === undefined) return [];
    const document = `Canary/${canary.name}`;
    const missing = this.#named(document, '/service', 'Service', canary.service);
    if (missing.length > 0) return missing;
    return (canary.routes ?? []).flatMap((name, i) => this.#routeOf(document, `/routes/${i}`, name, `service/${canary.service}`));
  }

  #policy(policy: PolicyDocument): Violation[] {
    const document = `Policy/${policy.name}`;
    const found = this.#target(document, '/target', policy.target);
    if (policy.from?.service !== undefined) found.push(...this.#named(document, '/from/service', 'Service', policy.from.service));
    if (policy.from?.gateway !== undefined) found.push(...this.#named(document, '/from/gateway', 'Gateway', policy.from.gateway));
    const anonymous = sectionOf(policy, 'authentication')?.['anonymous'];
    if (typeof anonymous === 'string' && !this.#state.consumers.has(anonymous) && !this.#excused.has(`Consumer/${anonymous}`)) {
      found.push(unknown(document, '/authentication/anonymous', 'consumer', anonymous, this.#state.consumers.keys()));
    }
    const asked = sectionOf(policy, 'healthCheck')?.['port'];
    if (typeof asked === 'string' && policy.target.service !== undefined) found.push(...this.#parts(document, [{ name: asked, pointer: '/healthCheck/port' }], `Service/${policy.target.service}`));
    const named = sectionOf(policy, 'mtls')?.['ports'];
    if (typeof named === 'object' && named !== null && policy.target.service !== undefined) {
      found.push(...this.#parts(document, Object.entries(named).filter(([, mode]) => mode !== null).map(([name]) => ({ name, pointer: joinPointer('/mtls/ports', name) })), `Service/${policy.target.service}`));
    }
    for (const [i, bound] of (policy.bounds ?? []).entries()) {
      for (const [n, target] of (bound.except ?? []).entries()) found.push(...this.#target(document, `/bounds/${i}/except/${n}`, target));
    }
    return found;
  }

  #target(document: string, pointer: string, target: TargetDocument): Violation[] {
    if (target.service !== undefined) {
      const missing = this.#named(document, `${pointer}/service`, 'Service', target.service);
      if (missing.length > 0) return missing;
    }
    if (target.gateway !== undefined) {
      const missing = this.#named(document, `${pointer}/gateway`, 'Gateway', target.gateway);
      if (missing.length > 0) return missing;
    }
    return target.route === undefined ? [] : this.#routeOf(document, `${pointer}/route`, target.route, target.service === undefined ? `gateway/${target.gateway ?? ''}` : `service/${target.service}`);
  }

  #routeOf(document: string, pointer: string, name: string, owner: SubjectKey): Violation[] {
    const route = this.#state.routeByName.get(name);
    if ((route !== undefined && ownerOf(route) === owner) || this.#excused.has(`Route/${name}`)) return [];
    const violation = unknown(document, pointer, 'route', name, (this.#state.routes.get(owner) ?? []).map((own) => own.name));
    return [route === undefined ? violation : { ...violation, message: `Route/${name} belongs to ${ownerOf(route)}, not to ${owner}` }];
  }

  #named(document: string, pointer: string, kind: 'Service' | 'Gateway', name: string): Violation[] {
    const known: ReadonlyMap<string, unknown> = kind === 'Service' ? this.#state.services : this.#state.gateways;
    return known.has(name) || this.#excused.has(`${kind}/${name}`) ? [] : [unknown(document, pointer, kind.toLowerCase(), name, known.keys())];
  }

  /** Ports of a service, listeners of a gateway. */
  #parts(document: string, named: readonly { readonly name: string; readonly pointer: string }[] | undefined, owner: DocumentKey): Violation[] {
    const name = owner.slice(owner.indexOf('/') + 1);
    const ofService = owner.startsWith('Service/');
    const parts = ofService ? this.#state.services.get(name)?.ports : this.#state.gateways.get(name)?.listeners;
    if (parts === undefined || this.#excused.has(owner)) return [];
    const what = ofService ? 'port' : 'listener';
    return (named ?? []).flatMap((one) => (Object.hasOwn(parts, one.name) ? [] : [{ ...unknown(document, one.pointer, what, one.name, Object.keys(parts)), message: `${owner} has no ${what} ${one.name}` }]));
  }
}

function unknown(document: string, pointer: string, what: string, name: string, known: Iterable<string>): Violation {
  const names = [...known];
  const suggestion = suggest(name, names);
  const expected = names.length === 0 ? `a ${what}; there is none yet` : names.length <= 12 ? `one of ${names.sort().join(', ')}` : undefined;
  return {
    document, pointer, code: `unknown-${what}`, message: `there is no ${what} ${name}`,
    ...(expected === undefined ? {} : { expected }), ...(suggestion === undefined ? {} : { suggestion }),
  };
}
