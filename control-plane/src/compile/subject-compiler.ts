import type { Steps } from '@remora/core/steps';
import { subjectKey } from '@remora/core/subject';
import type { Subject, SubjectKey } from '@remora/core/subject';
import { listenerProtocol } from '@remora/model/listener-protocol';
import type { PathRulesDocument } from '@remora/model/path-rules-schema';
import type { RouteDocument } from '@remora/model/route-schema';
import type { ServiceDocument } from '@remora/model/service-schema';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { EntryType, Scope } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { CallerOverride, DestinationPort, PathRules } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import { routesOf } from '../resolve/document-state.ts';
import type { DocumentState } from '../resolve/document-state.ts';
import type { Spot } from '../resolve/place-policies.ts';
import type { KindSide } from '../resolve/policy-index.ts';
import type { SettingsResolver } from '../resolve/settings-resolver.ts';
import type { CompiledSubject } from './compilation.ts';
import { ManifestBuilder } from './manifest.ts';
import type { BuiltResource, ResourceStore } from './resource-store.ts';
import { wireRoute } from './route-wire.ts';
import type { SettingsCompiler } from './settings-compiler.ts';
import { planSharing } from './plan-sharing.ts';
import { wireRedis } from './store-wire.ts';
import { NeedsBuilder } from './subject-needs.ts';
import { wireListenerTls, wireUpstreamTls } from './tls-wire.ts';

export interface CompilerParts {
  readonly resolver: SettingsResolver;
  readonly settings: SettingsCompiler;
  readonly resources: ResourceStore;
  readonly kinds: ReadonlyMap<string, AuthoringKind>;
}

const noBytes = Buffer.alloc(0);
const routesPerStep = 32;

/** Route resources by document, scope and settings. */
type RouteCache = WeakMap<RouteDocument, Map<BuiltResource | null, BuiltResource>[]>;

/** Compiles one subject after the other; Route resources are shared by all that get the same. */
export class SubjectCompiler {
  readonly #parts: CompilerParts;
  readonly #routes: RouteCache = new WeakMap();

  constructor(parts: CompilerParts) {
    this.#parts = parts;
  }

  compile(state: DocumentState, subject: Subject): Steps<CompiledSubject> {
    return new SubjectCompilation(this.#parts, this.#routes, state, subject).run();
  }
}

class SubjectCompilation {
  readonly #parts: CompilerParts;
  readonly #routeCache: RouteCache;
  readonly #state: DocumentState;
  readonly #subject: Subject;
  readonly #key: SubjectKey;
  readonly #manifest = new ManifestBuilder();
  readonly #needs: NeedsBuilder;
  /** Added since the last step. */
  #routes = 0;
  /** Settings of the owner looked at last, where no Route with policies of its own matched: most of its Routes have the same. */
  #last: { readonly side: KindSide; readonly owner: SubjectKey; readonly callerRoute: string; readonly built: BuiltResource | null } | null = null;

  constructor(parts: CompilerParts, routeCache: RouteCache, state: DocumentState, subject: Subject) {
    this.#parts = parts;
    this.#needs = new NeedsBuilder(parts.kinds, planSharing(state.plans));
    this.#routeCache = routeCache;
    this.#state = state;
    this.#subject = subject;
    this.#key = subjectKey(subject);
  }

  *run(): Steps<CompiledSubject> {
    const destinations = this.#state.destinations.get(this.#key) ?? [];
    yield* this.#subject.kind === 'service' ? this.#service() : this.#gateway();
    for (const destination of destinations) yield* this.#destination(destination);
    // After the settings: they say whether the store is needed.
    this.#fleet();
    const made = yield* this.#manifest.finish(this.#subject, destinations, this.#parts.resources);
    return Object.freeze({ ...made, needs: this.#needs.finish() });
  }

  /** Whether the Routes since the last time were enough for one step. */
  #isLong(): boolean {
    this.#routes = (this.#routes + 1) % routesPerStep;
    return this.#routes === 0;
  }

  #fleet(): void {
    const mesh = this.#state.mesh;
    const redis = this.#needs.store ? mesh?.stores?.redis : undefined;
    for (const secret of [redis?.password, redis?.sentinel?.password]) if (secret !== undefined) this.#needs.addSecret(secret.secret);
    this.#add(EntryType.ENTRY_TYPE_FLEET, 'mesh', {
      $case: 'fleet',
      value: {
        trustDomain: mesh?.trustDomain ?? '',
        unknownDestinations: mesh?.unknownDestinations ?? 'refuse',
        // Left out where it is as always: what is on disks and in tests keeps its hash.
        connect: mesh?.connect === 'declared' ? 'declared' : '',
        pathRules: wirePathRules(mesh?.pathRules ?? {}),
        trustedProxies: [...(mesh?.trustedProxies ?? [])].sort(),
        redis: redis === undefined ? undefined : wireRedis(redis),
      },
    });
  }

  *#service(): Steps<void> {
    const service = this.#state.services.get(this.#subject.name);
    if (!service) return;
    const settings = hashOf(this.#settings('provider', { owner: this.#key }));
    const pathRules = this.#pathRules(service.pathRules);
    const appChecks = hashOf(this.#appChecks());
    for (const [portName, { port, protocol, proxyProtocol }] of Object.entries(service.ports)) {
      this.#add(EntryType.ENTRY_TYPE_INBOUND, portName, { $case: 'inbound', value: { portName, port, protocol: protocol ?? 'http', proxyProtocol: proxyProtocol ?? '', settings, appChecks, pathRules } });
    }
    for (const route of routesOf(this.#state, this.#key)) {
      this.#route(route, Scope.SCOPE_INBOUND, this.#settings('provider', { owner: this.#key, route: route.name }), []);
      if (this.#isLong()) yield;
    }
  }

  *#gateway(): Steps<void> {
    const gateway = this.#state.gateways.get(this.#subject.name);
    if (!gateway) return;
    const settings = hashOf(this.#settings('provider', { owner: this.#key }));
    const pathRules = this.#pathRules(gateway.pathRules);
    for (const [name, listener] of Object.entries(gateway.listeners)) {
      for (const { secret } of listener.tls?.certificates ?? []) if (secret !== undefined) this.#needs.addSecret(secret);
      this.#add(EntryType.ENTRY_TYPE_LISTENER, name, {
        $case: 'listener',
        value: {
          name, port: listener.port, hosts: (listener.hosts ?? []).map((host) => host.toLowerCase()).sort(), protocol: listenerProtocol(listener),
          redirect: listener.redirect ?? '', settings, tls: wireListenerTls(listener.tls), pathRules,
          proxyProtocol: listener.proxyProtocol ?? '',
        },
      });
    }
    for (const route of routesOf(this.#state, this.#key)) {
      this.#route(route, Scope.SCOPE_GATEWAY, this.#settings('provider', { owner: this.#key, route: route.name }), this.#overrides(route));
      if (this.#isLong()) yield;
    }
  }

  /** Caller-side settings that a gateway's Route has for its destinations beyond those of the gateway. */
  #overrides(route: RouteDocument): CallerOverride[] {
    const bucket = this.#state.policies.bucket('gatewayRoute', this.#subject.name, route.name);
    if (![...bucket.plain, ...bucket.narrowed].some(({ concerns }) => concerns.caller)) return [];
    const services = [...new Set((route.to ?? []).flatMap(({ service }) => service ?? []))].sort();
    return services.flatMap((service) => {
      const owner: SubjectKey = `service/${service}`;
      return ['', ...routesOf(this.#state, owner).map(({ name }) => name)].flatMap((name) => {
        const usual = this.#callerSettings(owner, name, '');
        const here = this.#callerSettings(owner, name, route.name);
        return here?.hash === usual?.hash ? [] : [{ service, route: name, settings: hashOf(here) }];
      });
    });
  }

  *#destination(name: string): Steps<void> {
    const service = this.#state.services.get(name);
    if (!service) return;
    const owner: SubjectKey = `service/${name}`;
    for (const { tls } of Object.values(service.ports)) if (tls?.clientCertificate?.secret !== undefined) this.#needs.addSecret(tls.clientCertificate.secret);
    this.#add(EntryType.ENTRY_TYPE_DESTINATION, name, {
      $case: 'destination',
      value: { service: name, ports: destinationPorts(service), settings: hashOf(this.#callerSettings(owner, '', '')), pathRules: this.#pathRules(service.pathRules) },
    });
    for (const route of routesOf(this.#state, owner)) {
      this.#route(route, Scope.SCOPE_OUTBOUND, this.#callerSettings(owner, route.name, ''), []);
      if (this.#isLong()) yield;
    }
  }

  /** What callers in general are told about checking this service holds for its own sidecar too; null where nobody is. */
  #appChecks(): BuiltResource | null {
    const resolved = this.#parts.resolver.resolve(this.#state, 'caller', { owner: this.#key, route: '', caller: '', callerRoute: '' });
    const built = this.#parts.settings.buildOnly('healthCheck', resolved);
    if (built !== null) this.#manifest.addSettings(built);
    return built;
  }

  #callerSettings(owner: SubjectKey, route: string, callerRoute: string): BuiltResource | null {
    return this.#settings('caller', { owner, route, caller: this.#key, callerRoute });
  }

  /** The settings at a spot, which become part of the manifest; null where nothing is set. */
  #settings(side: KindSide, { owner, route = '', caller = '', callerRoute = '' }: Partial<Spot> & Pick<Spot, 'owner'>): BuiltResource | null {
    const named = route !== '' && this.#state.policies.namesRoute(owner, route);
    const last = this.#last;
    if (!named && last?.side === side && last.owner === owner && last.callerRoute === callerRoute) return last.built;
    const resolved = this.#parts.resolver.resolve(this.#state, side, { owner, route: named ? route : '', caller, callerRoute });
    this.#needs.addSettings(resolved);
    const built = this.#parts.settings.build(resolved);
    if (built !== null) this.#manifest.addSettings(built);
    if (!named) this.#last = { side, owner, callerRoute, built };
    return built;
  }

  #route(route: RouteDocument, scope: Scope, settings: BuiltResource | null, callerOverrides: readonly CallerOverride[]): void {
    const name = `${scopeNames[scope] ?? ''}/${route.gateway ?? route.service ?? ''}/${route.name}`;
    this.#manifest.add(EntryType.ENTRY_TYPE_ROUTE, name, this.#routeResource(route, scope, settings, callerOverrides));
  }

  #routeResource(route: RouteDocument, scope: Scope, settings: BuiltResource | null, callerOverrides: readonly CallerOverride[]): BuiltResource {
    const build = (): BuiltResource => this.#parts.resources.build({ $case: 'route', value: wireRoute(route, scope, { settings: hashOf(settings), callerOverrides }) });
    if (callerOverrides.length > 0) return build();
    let scopes = this.#routeCache.get(route);
    if (!scopes) this.#routeCache.set(route, scopes = []);
    const known = scopes[scope] ??= new Map();
    let made = known.get(settings);
    if (!made) {
      // One per distinct settings of its callers; after many edits the old ones only take room.
      if (known.size >= 64) known.clear();
      known.set(settings, made = build());
    }
    return made;
  }

  /** What a service or gateway says over what the mesh says; nothing where it says nothing. */
  #pathRules(own: PathRulesDocument | undefined): PathRules | undefined {
    return own === undefined ? undefined : wirePathRules({ ...this.#state.mesh?.pathRules, ...own });
  }

  #add(type: EntryType, name: string, body: Parameters<ResourceStore['build']>[0]): void {
    this.#manifest.add(type, name, this.#parts.resources.build(body));
  }
}

function hashOf(settings: BuiltResource | null): Buffer {
  return settings ? Buffer.from(settings.hash, 'hex') : noBytes;
}

const scopeNames: Readonly<Record<number, string>> = { [Scope.SCOPE_INBOUND]: 'inbound', [Scope.SCOPE_OUTBOUND]: 'outbound', [Scope.SCOPE_GATEWAY]: 'gateway' };

/** The name behind the addresses of a service; '' where there is none, or several. */
function lookedUpBy({ discovery }: ServiceDocument): string {
  return discovery?.dns === undefined || discovery.dns.records === 'srv' ? '' : discovery.dns.name;
}

function destinationPorts(service: ServiceDocument): DestinationPort[] {
  return Object.entries(service.ports)
    .map(([name, { port, protocol, tls, proxyProtocol }]) => ({ name, port, protocol: protocol ?? 'http', tls: wireUpstreamTls(tls, lookedUpBy(service)), proxyProtocol: proxyProtocol ?? '' }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function wirePathRules(rules: PathRulesDocument): PathRules {
  return {
    allowEncodedSlash: rules.allowEncodedSlash ?? false,
    allowBackslash: rules.allowBackslash ?? false,
    mergeSlashes: rules.mergeSlashes ?? false,
    resolveDotSegments: rules.resolveDotSegments ?? false,
    allowSemicolon: rules.allowSemicolon ?? false,
    allowEncodedControl: rules.allowEncodedControl ?? false,
  };
}
