import type { Random } from '@remora/core/random';
import { reasons, type Reason } from '@remora/errors/reason';
import type { Detours } from '@remora/policy-kit/detours';
import { Exchange, type Call, type Dispatch, type Sink, type Source, type Target } from '@remora/policy-kit/exchange';
import { undecided } from '@remora/router/route-table';
import type { Generation } from '../generation/generation.ts';
import { ResolvedTarget, type CallerRoute, type Destination, type WeightedTarget } from '../generation/places.ts';
import type { Deferred, Turn } from '../io/turn.ts';
import type { ExchangeTimer } from './filter-timers.ts';
import { chooseTarget } from './weighted-choice.ts';

export interface DetourDeps {
  /** The one in use. */
  readonly generation: () => Generation | null;
  readonly random: Random;
  readonly turn: Turn;
}

/** Ways of layers to destinations of the generation in use. One per thread. */
export class DestinationDetours implements Detours {
  readonly #deps: DetourDeps;

  constructor(deps: DetourDeps) {
    this.#deps = deps;
  }

  to(target: Target): Dispatch {
    const { random, turn } = this.#deps;
    const key = `${target.service}\0${target.port}`;
    let subset: { readonly of: Destination; readonly target: ResolvedTarget } | null = null;
    return (call, response) => {
      const destination = this.#deps.generation()?.destinations.get(key);
      const usual = destination?.fallback.targets[0]?.target;
      if (destination === undefined || usual === undefined || usual.how.raw) return new FailedDetour(reasons.unknownDestination, response, turn);
      const route = routeOf(call, destination);
      if (target.labels.length > 0 && subset?.of !== destination) {
        subset = { of: destination, target: new ResolvedTarget(destination.cluster, usual.port, target.labels, usual.how) };
      }
      const chosen = target.labels.length > 0 ? (subset?.target ?? null) : (chooseTarget<WeightedTarget>(route.targets, route.sticky, call.head, random)?.target ?? null);
      if (chosen === null) return new FailedDetour(reasons.noHealthyUpstream, response, turn);
      addressTo(call, destination.service);
      call.target = chosen;
      return route.caller.dispatch(call, response);
    };
  }

  beside(x: Exchange): Exchange {
    return new BesideExchange(x);
  }
}

function routeOf({ head }: Call, destination: Destination): CallerRoute {
  const hit = destination.table.match(head);
  return hit === undecided ? destination.fallback : (hit?.value ?? destination.fallback);
}

/** An app that called the first destination by its name would have called this one by its own; what clients of a gateway asked for stays. */
function addressTo({ head, x }: Call, service: string): void {
  const { authority } = head;
  const colon = authority.lastIndexOf(':');
  if ((colon < 0 ? authority : authority.slice(0, colon)) === x.destination) head.setAuthority(service);
}

/** Of a call that nobody waits for: what layers and attempts write about their call does not reach the client's. */
class BesideExchange extends Exchange {
  /** As WheelFilterTimers keeps them. */
  timers: ExchangeTimer | null = null;
  readonly ended = false;

  constructor(x: Exchange) {
    super();
    this.head = x.head;
    this.pin = x.pin;
    this.connection = x.connection;
    this.slots = x.slots;
    this.pathNames = x.pathNames;
    this.pathValues = x.pathValues;
    this.requestId = x.requestId;
    this.identity = x.identity;
    this.clientAddress = x.clientAddress;
    this.destination = x.destination;
    this.startedAt = x.startedAt;
    this.startedWallMs = x.startedWallMs;
  }
}

/** A call that leads nowhere: it ends with the turn, as attempts do that cannot begin. */
class FailedDetour implements Sink, Source, Deferred {
  readonly #reason: Reason;
  #response: Sink | null;

  constructor(reason: Reason, response: Sink, turn: Turn) {
    this.#reason = reason;
    this.#response = response;
    response.bind(this);
    turn.later(this);
  }

  runLater(): void {
    const response = this.#response;
    this.#response = null;
    response?.reset(this.#reason);
  }

  resume(): void {}

  stop(_reason: Reason): void {
    this.#response = null;
  }

  bind(_from: Source): void {}
  info(): void {}
  head(): void {}

  data(): boolean {
    return true;
  }

  trailers(): void {}

  reset(_reason: Reason): void {
    this.#response = null;
  }
}
