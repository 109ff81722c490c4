import type { EdgeFilter, Side } from '@remora/policy-kit/exchange';
import type { EffectiveSettings } from '@remora/snapshot/effective-settings';
import type { RouteDefinition } from '@remora/snapshot/route-definition';
import { FixedResponse } from './fixed-response.ts';
import type { Place, ProviderAction, ProviderRoute, RewritePlan } from './places.ts';

/**
 * A Route of an own port whose filters belong to no place: of 10^5 of these most never see a request, so that place and answer are made at the
 * first one. Nothing in that can fail: what can was done when the snapshot was built.
 */
export class RouteOnDemand implements ProviderRoute {
  readonly #definition: RouteDefinition;
  readonly #maker: PlaceMaker;
  #place: Place | null = null;
  #action: ProviderAction | null;

  /** `onward`: where requests go on to; null where the Route answers by itself. */
  constructor(definition: RouteDefinition, maker: PlaceMaker, onward: ProviderAction | null) {
    this.#definition = definition;
    this.#maker = maker;
    this.#action = onward;
  }

  get place(): Place {
    return this.#place ??= this.#maker.make(this.#definition.name);
  }

  get action(): ProviderAction {
    return this.#action ??= ownAction(this.#definition);
  }
}

/** Makes places that share their filters: one for each of the settings of a port. */
export class PlaceMaker {
  readonly #side: Side;
  readonly #owner: string;
  readonly #settings: EffectiveSettings;
  readonly #filters: SharedFilters;

  constructor(side: Side, owner: string, settings: EffectiveSettings, filters: SharedFilters) {
    this.#side = side;
    this.#owner = owner;
    this.#settings = settings;
    this.#filters = filters;
  }

  make(route: string): Place {
    const { list, slotCount } = this.#filters;
    return { side: this.#side, route, owner: this.#owner, filters: list, slotCount, settings: this.#settings, series: null, pin: null, liveKeys: noKeys };
  }
}

/** The filters of a place, and how many slots they have in an exchange. */
export interface SharedFilters {
  readonly list: readonly EdgeFilter[];
  readonly slotCount: number;
}

/** What a Route that does not forward answers; a Route that forwards has its action from its port. */
export function ownAction({ action, match }: RouteDefinition): ProviderAction {
  switch (action.kind) {
    case 'forward':
      throw new Error('invariant: a Route that forwards has no answer of its own');
    case 'redirect':
      return {
        kind: 'redirect', status: action.status, scheme: action.scheme, host: action.host, port: action.port, keepQuery: action.keepQuery,
        rewrite: action.rewrite === null ? null : { rewrite: action.rewrite, prefix: match.path?.kind === 'prefix' ? match.path.value : '' },
      };
    case 'respond':
      return new FixedResponse(action);
  }
}

export function rewriteOf({ rewrite, match }: RouteDefinition): RewritePlan | null {
  return rewrite === null ? null : { rewrite, prefix: match.path?.kind === 'prefix' ? match.path.value : '' };
}

const noKeys: readonly string[] = Object.freeze([]);
