import type { Dispatch, EdgeFilter, Exchange, Answer, Side } from '@remora/policy-kit/exchange';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { shadowed } from '@remora/policy-kit/shadow';
import { noSettings, policiesBehind, type EffectiveSection, type EffectiveSettings } from '@remora/snapshot/effective-settings';
import { BuiltCache } from './built-cache.ts';
import type { PrepareError } from '../threads/data-plane.ts';
import { PlaceFilterContext, SlotCounter, type FilterHost } from '../pipeline/filter-context.ts';
import type { LiveStates } from './live-state.ts';
import type { CallerPlace, Place } from './places.ts';

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

/** Makes filters and layers from settings, or finds those made for the same settings in the same place. One per thread. */
export class PlaceBuilder {
  readonly #options: PlaceBuilderOptions;
  readonly #places = new BuiltCache<Kept<Place>>();
  readonly #callers = new BuiltCache<Kept<CallerPlace>>();
  /** Live state that the generation being built uses. */
  #keys = new Set<string>();

  constructor(options: PlaceBuilderOptions) {
    this.#options = options;
  }

  /** Starts a generation; `keys` collects the live state it uses. */
  begin(keys: Set<string>): void {
    this.#keys = keys;
    this.#places.age();
    this.#callers.age();
  }

  /** `tcpPort`: the port or listener whose TCP connections it is for; '' for requests. */
  provider(side: Side, owner: string, route: string, settings: EffectiveSettings, tcpPort = ''): Place {
    const scope = tcpPort === '' ? `${side}/${owner}/${route}` : `${side}/${owner}:${tcpPort}/${route}`;
    // Figures of connections stay apart from those of requests where no Route names them.
    const shownRoute = route === '' && tcpPort !== '' ? `tcp/${tcpPort}` : route;
    return this.#kept(this.#places, `${scope}\0${settings.hash}`, (keys) => this.#makePlace({ side, owner, route: shownRoute, scope, settings, tcp: tcpPort !== '' }, keys));
  }

  caller(side: Side, service: string, route: string, settings: EffectiveSettings, owner: string, tcpPort = ''): CallerPlace {
    const scope = tcpPort === '' ? `${side}/${owner}/to/${service}/${route}` : `${side}/${owner}/to/${service}:${tcpPort}/${route}`;
    return this.#kept(this.#callers, `${scope}\0${settings.hash}`, (keys) => this.#makeCaller({ side, route, scope, settings, tcp: tcpPort !== '' }, keys));
  }

  #kept<T>(cache: BuiltCache<Kept<T>>, key: string, make: (keys: Set<string>) => T): T {
    let kept = cache.get(key);
    if (kept === undefined) {
      const keys = new Set<string>();
      kept = { value: make(keys), keys };
      cache.put(key, kept);
    }
    for (const one of kept.keys) this.#keys.add(one);
    return kept.value;
  }

  #makePlace(place: { side: Side; owner: string; route: string; scope: string; settings: EffectiveSettings; tcp: boolean }, keys: Set<string>): Place {
    const { side, owner, route, scope, settings, tcp } = place;
    const live = this.#options.live.collector(keys);
    const slots = new SlotCounter();
    const filters: EdgeFilter[] = [];
    for (const section of settings.sections) {
      if (section.runtime.side !== 'provider' || section.runtime.edge === undefined || (tcp && section.runtime.tcp !== true)) continue;
      const context = new PlaceFilterContext(
        this.#options.host, { kind: section.kind, side, scope, shadow: section.shadow, index: filters.length, live }, slots,
      );
      const filter = building(section, scope, () => section.runtime.edge?.(section.settings, context) ?? null);
      if (filter !== null) filters.push(section.shadow ? shadowed(filter, this.#options.recordShadow) : filter);
    }
    return { side, route, owner, filters: Object.freeze(filters), slotCount: slots.count, settings, series: new Map(), pin: null };
  }

  #makeCaller(place: { side: Side; route: string; scope: string; settings: EffectiveSettings; tcp: boolean }, keys: Set<string>): CallerPlace {
    const { side, route, scope, settings, tcp } = place;
    const live = this.#options.live.collector(keys);
    let dispatch = this.#options.connector;
    const sections = settings.sections.filter(({ runtime }) => runtime.side === 'caller' && (!tcp || runtime.tcp === true));
    for (let i = sections.length - 1; i >= 0; i--) {
      const section = sections[i] as EffectiveSection;
      const context = new PlaceFilterContext(this.#options.host, { kind: section.kind, side, scope, shadow: section.shadow, index: 0, live }, new SlotCounter());
      const layer = building(section, scope, () => section.runtime.layer?.(section.settings, context) ?? null);
      if (layer !== null) dispatch = layer(dispatch);
    }
    return { route, dispatch, settings };
  }

  /** Settings for the way to the own app: nothing but the engine's defaults. */
  appCaller(service: string): CallerPlace {
    return this.caller('inbound', service, '', noSettings, service);
  }
}

interface Kept<T> {
  readonly value: T;
  readonly keys: ReadonlySet<string>;
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
