import { AgingMap } from '@remora/core/aging-map';
import type { Dispatch, EdgeFilter, Exchange, Answer, Side } from '@remora/policy-kit/exchange';
import { kindOrder, lateAfter } from '@remora/policy-kit/order';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { makeRepeatLayer } from '@remora/policy-retry/filter';
import { shadowed } from '@remora/policy-kit/shadow';
import { noSettings, policiesBehind, policiesOfField, type EffectiveSection, type EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { PrepareError } from '../threads/data-plane.ts';
import { PlaceFilterContext, SlotCounter, type FilterHost } from '../pipeline/filter-context.ts';
import type { LiveStates } from './live-state.ts';
import type { CallerPlace, Place } from './places.ts';
import { PlaceMaker, type SharedFilters } from './provider-route.ts';

/** Kinds behind the place where late parts run. */
const kindsAfterLate: ReadonlySet<string> = new Set(kindOrder.slice(kindOrder.findIndex(({ name }) => name === lateAfter) + 1).map(({ name }) => name));

/** A section that cannot be built; becomes an error of `prepare`. */
export class BuildError extends Error {
  readonly error: PrepareError;

  constructor(error: PrepareError) {
    super(error.message);
    this.name = 'BuildError';
    this.error = error;
  }
}

export interface PlaceBuilderOptions {
  readonly host: FilterHost;
  readonly live: LiveStates;
  readonly connector: Dispatch;
  readonly recordShadow: (x: Exchange, answer: Answer) => void;
}

/**
 * Makes filters and layers from settings, or finds those made for the same settings in the same place; where nothing in them belongs to one
 * place, those made for the same settings anywhere. One per thread.
 */
export class PlaceBuilder {
  readonly #options: PlaceBuilderOptions;
  // What two generations in a row did not use goes: they hold what these two have, and no more.
  readonly #places = new AgingMap<Place>(Infinity);
  readonly #callers = new AgingMap<CallerPlace>(Infinity);
  readonly #filters = new AgingMap<SharedFilters>(Infinity);
  readonly #dispatches = new AgingMap<Dispatch>(Infinity);
  /** Live state that the generation being built uses. */
  #keys = new Set<string>();

  constructor(options: PlaceBuilderOptions) {
    this.#options = options;
  }

  /** Starts a generation; `keys` collects the live state it uses. */
  begin(keys: Set<string>): void {
    this.#keys = keys;
    for (const cache of [this.#places, this.#callers, this.#filters, this.#dispatches]) cache.age();
  }

  /** `tcpPort`: the port or listener whose TCP connections it is for; '' for requests. */
  provider(side: Side, owner: string, route: string, settings: EffectiveSettings, tcpPort = ''): Place {
    const scope = tcpPort === '' ? `${side}/${owner}/${route}` : `${side}/${owner}:${tcpPort}/${route}`;
    // Figures of connections stay apart from those of requests where no Route names them.
    const shownRoute = route === '' && tcpPort !== '' ? `tcp/${tcpPort}` : route;
    return this.#kept(this.#places, cacheKey(scope, route, settings), settings, () => this.#makePlace({ side, owner, route: shownRoute, scope, settings, tcp: tcpPort !== '' }));
  }

  /**
   * For calls that the own app makes by CONNECT: filters see their end, and nothing before it. What is beside the instance sees a connection of nobody's
   * asking, or there is nothing; the request ends here, and its line is written here.
   */
  connects(owner: string, service: string, route: string, settings: EffectiveSettings, tcpPort: string): Place {
    const scope = `outbound/${owner}/connect/${service}:${tcpPort}/${route}`;
    const shownRoute = route === '' && tcpPort !== '' ? `tcp/${tcpPort}` : route;
    return this.#kept(this.#places, cacheKey(scope, route, settings), settings, () => this.#makePlace({ side: 'outbound', owner: service, route: shownRoute, scope, settings, tcp: true }));
  }

  /**
   * Makes the places of Routes with these settings, where their filters are the same in all of them; null where each place has its own. Builds those
   * of this Route: what cannot be built is said now.
   */
  maker(side: Side, owner: string, route: string, settings: EffectiveSettings, tcpPort: string): PlaceMaker | null {
    const key = shareKey(side, tcpPort !== '', settings);
    if (this.#filters.get(key) === undefined) this.provider(side, owner, route, settings, tcpPort);
    const filters = this.#filters.get(key);
    return filters === undefined ? null : new PlaceMaker(side, owner, settings, filters);
  }

  caller(side: Side, service: string, route: string, settings: EffectiveSettings, owner: string, tcpPort = ''): CallerPlace {
    const scope = tcpPort === '' ? `${side}/${owner}/to/${service}/${route}` : `${side}/${owner}/to/${service}:${tcpPort}/${route}`;
    return this.#kept(this.#callers, cacheKey(scope, route, settings), settings, () => this.#makeCaller({ side, route, scope, settings, tcp: tcpPort !== '' }));
  }

  #kept<T extends BuiltPlace>(cache: AgingMap<T>, key: string, settings: EffectiveSettings, make: () => T): T {
    let kept = cache.get(key);
    if (kept === undefined || kept.settings.hash !== settings.hash) {
      kept = make();
      cache.put(key, kept);
    }
    for (const one of kept.liveKeys) this.#keys.add(one);
    return kept;
  }

  #makePlace(place: PlaceToBuild): Place {
    const { side, owner, route, settings, tcp } = place;
    const key = shareKey(side, tcp, settings);
    const known = this.#filters.get(key);
    const own = new OwnedParts();
    const filters = known ?? this.#makeFilters(place, own);
    if (known === undefined && !own.any) this.#filters.put(key, filters);
    return { side, route, owner, filters: filters.list, slotCount: filters.slotCount, settings, series: null, pin: null, liveKeys: own.keys() };
  }

  #makeFilters({ side, scope, settings, tcp }: PlaceToBuild, own: OwnedParts): SharedFilters {
    const slots = new SlotCounter();
    const list: EdgeFilter[] = [];
    const late: EdgeFilter[] = [];
    for (const section of settings.sections) {
      if (late.length > 0 && kindsAfterLate.has(section.kind)) list.push(...late.splice(0));
      if (section.runtime.side !== 'provider' || section.runtime.edge === undefined || (tcp && section.runtime.tcp !== true)) continue;
      const context = this.#context(section, { side, scope, index: list.length }, own, slots);
      const filter = building(section, scope, () => section.runtime.edge?.(section.settings, context) ?? null);
      if (filter === null) continue;
      const made = section.shadow ? shadowed(filter, this.#options.recordShadow, context) : filter;
      list.push(made);
      if (made.late !== undefined) late.push(made.late);
    }
    list.push(...late);
    return { list: Object.freeze(list), slotCount: slots.count };
  }

  #makeCaller(place: CallerToBuild): CallerPlace {
    const { side, route, settings, tcp } = place;
    const key = shareKey(side, tcp, settings);
    const known = this.#dispatches.get(key);
    const own = new OwnedParts();
    const dispatch = known ?? this.#makeDispatch(place, own);
    if (known === undefined && !own.any) this.#dispatches.put(key, dispatch);
    return { route, dispatch, settings, liveKeys: own.keys() };
  }

  #makeDispatch({ side, scope, settings, tcp }: CallerToBuild, own: OwnedParts): Dispatch {
    let dispatch = this.#options.connector;
    const sections = settings.sections.filter(({ runtime }) => runtime.side === 'caller' && (!tcp || runtime.tcp === true));
    for (let i = sections.length - 1; i >= 0; i--) {
      const section = sections[i] as EffectiveSection;
      const context = this.#context(section, { side, scope, index: 0 }, own, new SlotCounter());
      const layer = building(section, scope, () => section.runtime.layer?.(section.settings, context) ?? null);
      if (layer !== null) dispatch = layer(dispatch);
    }
    return dispatch;
  }

  #context({ kind, shadow, origins }: EffectiveSection, place: { side: Side; scope: string; index: number }, own: OwnedParts, slots: SlotCounter): PlaceFilterContext {
    return new PlaceFilterContext(this.#options.host, { ...place, kind, shadow, live: this.#options.live.collector(own.live), policyBehind: (pointer) => policiesOfField(origins, pointer)[0] ?? '', onOwned: () => own.touch() }, slots);
  }

  /** Settings for the way to the own app: nothing but the engine's defaults. `refusable`: the app speaks HTTP/2, and may refuse what it has not looked at. */
  appCaller(service: string, refusable: boolean): CallerPlace {
    const caller = this.caller('inbound', service, '', noSettings, service);
    if (!refusable) return caller;
    const context = new PlaceFilterContext(
      this.#options.host, { kind: 'retry', side: 'inbound', scope: `inbound/${service}/`, shadow: false, index: 0, live: this.#options.live.collector(new Set()), onOwned: () => {} }, new SlotCounter(),
    );
    return { ...caller, dispatch: makeRepeatLayer(context)(this.#options.connector) };
  }
}

interface PlaceToBuild {
  readonly side: Side;
  readonly owner: string;
  readonly route: string;
  readonly scope: string;
  readonly settings: EffectiveSettings;
  readonly tcp: boolean;
}

type CallerToBuild = Omit<PlaceToBuild, 'owner'>;

interface BuiltPlace {
  readonly settings: EffectiveSettings;
  readonly liveKeys: readonly string[];
}

/** What the filters of one place have for themselves: live state, or anything named by the place. */
class OwnedParts {
  readonly live = new Set<string>();
  any = false;

  touch(): void {
    this.any = true;
  }

  keys(): readonly string[] {
    return this.live.size === 0 ? noKeys : Object.freeze([...this.live]);
  }
}

const noKeys: readonly string[] = Object.freeze([]);

/** What is the same for these settings wherever they hold. */
function shareKey(side: Side, tcp: boolean, settings: EffectiveSettings): string {
  return `${side}\0${String(tcp)}\0${settings.hash}`;
}

/** A route has one setting in a place; places without one stand for several ports, which may differ. */
function cacheKey(scope: string, route: string, settings: EffectiveSettings): string {
  return route === '' ? `${scope}\0${settings.hash}` : scope;
}

/** Kinds report with WireError what they cannot build; anything else they throw is refused just the same. */
function building<T>(section: EffectiveSection, scope: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const pointer = error instanceof WireError ? error.pointer : '';
    throw new BuildError({
      resource: scope,
      kind: section.kind,
      pointer,
      code: error instanceof WireError ? error.code : 'cannot-build',
      message: error instanceof Error ? error.message : String(error),
      policies: policiesBehind(section.origins, pointer),
    });
  }
}
