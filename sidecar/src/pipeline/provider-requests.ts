import { reasons } from '@remora/errors/reason';
import { undecided } from '@remora/router/route-table';
import type { Generation } from '../generation/generation.ts';
import { pinFor, type ForwardAction, type ProviderPort, type ProviderRoute, type RespondAction } from '../generation/places.ts';
import { dateField, type EncodedAnswer } from './answer-encoding.ts';
import { answerFor } from './answers.ts';
import { callerRoute } from './caller-route.ts';
import type { Engine } from './engine.ts';
import type { ExchangeRun } from './exchange-run.ts';
import { WheelFilterTimers } from './filter-timers.ts';
import { hostRefusal } from './host-refusal.ts';
import { makeHttpsRedirect, makeRedirect } from './redirects.ts';
import { refuseWithoutInstance } from './refuse-without-instance.ts';
import { attemptHeader, noteRetryOf } from './retry-marks.ts';
import { rewriteRequest } from './rewrites.ts';
import { spellPath } from './spell-path.ts';
import { chooseTarget } from './weighted-choice.ts';

/** Requests and connections of others, at an inbound port or a gateway listener: which route they take, and, once its filters have passed, what it says is done. */
export class ProviderRequests {
  readonly #engine: Engine;
  readonly #timers: WheelFilterTimers;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#timers = new WheelFilterTimers(engine.thread.wheels);
  }

  /** `port` null: the listener is no part of the configuration. */
  start(run: ExchangeRun, generation: Generation, port: ProviderPort | null): void {
    if (port === null) {
      run.refuse(answerFor(reasons.noRoute, 'this port is not part of the configuration'));
      return;
    }
    const refusal = spellPath(run.head, port.pathRules) ?? hostRefusal(run.head, port);
    if (refusal !== null) {
      run.refuse(refusal);
      return;
    }
    const hit = port.table.match(run.head);
    if (hit === undecided) {
      run.refuse(answerFor(reasons.badRequest, 'a route\'s match could not be evaluated'));
      return;
    }
    if (hit !== null) {
      run.pathNames = hit.pathNames;
      run.pathValues = hit.pathValues;
    }
    const route = hit?.value ?? port.fallback;
    run.route = route;
    run.begin(pinFor(route.place, generation.label));
  }

  /** The filters have passed: what the route says is done. */
  route(run: ExchangeRun): void {
    const { action } = run.route as ProviderRoute;
    if (run.trace !== null) this.#engine.tracer?.decide(run);
    this.#engine.ensureRequestId(run);
    switch (action.kind) {
      case 'app':
        if (run.head.has(attemptHeader)) noteRetryOf(run, this.#engine.thread);
        if (action.rewrite !== null) rewriteRequest(run, action.rewrite);
        run.dispatch(action.caller, action.target);
        return;
      case 'forward':
        this.#forward(run, action);
        return;
      case 'redirect':
        this.#sendOwn(run, makeRedirect(run, action));
        return;
      case 'respond':
        this.#respond(run, action);
        return;
      case 'httpsRedirect':
        this.#sendOwn(run, makeHttpsRedirect(run, action.port));
        return;
      case 'none':
        run.refuse(answerFor(reasons.noRoute, ''));
    }
  }

  #respond(run: ExchangeRun, action: RespondAction): void {
    if (action.delayMs === 0) this.#sendOwn(run, action.response());
    else this.#timers.after(action.delayMs, () => this.#sendOwn(run, action.response()), run, run.token);
  }

  #sendOwn(run: ExchangeRun, response: EncodedAnswer): void {
    response.head.put(dateField(this.#engine.thread.clock.wallMs()));
    run.sendOwn(response.head, response.body);
  }

  #forward(run: ExchangeRun, { targets, sticky, rewrite }: ForwardAction): void {
    const chosen = chooseTarget(targets, sticky, run.head, this.#engine.thread.random);
    if (chosen === null) {
      refuseWithoutInstance(run, targets[0]?.destination ?? null, targets);
      return;
    }
    if (rewrite !== null) rewriteRequest(run, rewrite);
    const { destination } = chosen;
    run.destination = destination.service;
    const route = callerRoute(run, destination);
    if (route === null) return;
    // HTTP/1.0 without Host: many servers refuse an empty one.
    if (run.head.authority === '') run.head.setAuthority(destination.service);
    const caller = chosen.overrides?.get(route.caller.route) ?? route.caller;
    // The destination's own Route decides over its instances, unless the gateway's route names a subset itself.
    const subset = chosen.target.labels.length > 0 ? chosen : chooseTarget(route.targets, route.sticky, run.head, this.#engine.thread.random);
    if (subset === null) refuseWithoutInstance(run, destination, route.targets);
    else run.dispatch(caller, subset.target);
  }
}
