import { reasons } from '@remora/errors/reason';
import { headerId } from '@remora/http/header-ids';
import type { Generation } from '../generation/generation.ts';
import { pinFor, type Destination } from '../generation/places.ts';
import type { ServerPeer } from '../listener/server-peer.ts';
import type { OutsideDestinations } from '../upstream/outside-destinations.ts';
import { answerFor } from './answers.ts';
import type { CallCounts } from './call-counts.ts';
import { callerRoute } from './caller-route.ts';
import { connectDestination } from './connect-request.ts';
import type { Engine } from './engine.ts';
import type { ExchangeRun } from './exchange-run.ts';
import { refuseWithoutInstance } from './refuse-without-instance.ts';
import { spellPath } from './spell-path.ts';
import { chooseTarget } from './weighted-choice.ts';

/** Calls of the own app: which destination they are for, what holds for them there, and which instances may take them. Runs no filters: those are the provider's. */
export class OutboundCalls {
  readonly #engine: Engine;
  readonly #calls: CallCounts;
  readonly #outside: OutsideDestinations;

  constructor(engine: Engine, calls: CallCounts, outside: OutsideDestinations) {
    this.#engine = engine;
    this.#calls = calls;
    this.#outside = outside;
  }

  /** `fixed`: the only destination of the listener; '' where the request names its own. */
  startRequest(run: ExchangeRun, generation: Generation, fixed: string): void {
    const destination = generation.byAuthority.get(fixed === '' ? run.head.authority : fixed) ?? (fixed === '' ? this.#undeclared(generation, run.head.authority) : null);
    if (destination === null) {
      run.pin = pinFor(generation.unknownPlace, generation.label);
      run.refuse(answerFor(reasons.unknownDestination, unknownDetail(generation, run.head.authority)));
      return;
    }
    const refusal = spellPath(run.head, destination.pathRules);
    if (refusal !== null) {
      run.refuse(refusal);
      return;
    }
    // `http_proxy=http://user:password@…`: for the proxy, and that is this side (RFC 9110 section 11.7.2).
    if (fixed === '' && run.head.has(proxyAuthorizationHeader)) run.head.remove(proxyAuthorizationHeader);
    if (run.trace !== null) this.#engine.tracer?.decide(run);
    this.#callOut(run, generation, destination);
  }

  /** A TCP connection. `fixed` as for requests. */
  startConnection(run: ExchangeRun, generation: Generation, fixed: string): void {
    const destination = generation.tcpByAuthority.get(fixed);
    if (destination === undefined) {
      run.pin = pinFor(generation.unknownPlace, generation.label);
      run.refuse(answerFor(reasons.unknownDestination, unknownDetail(generation, fixed)));
      return;
    }
    if (run.trace !== null) this.#engine.tracer?.decide(run);
    this.#callOut(run, generation, destination);
  }

  /** CONNECT, from any listener: only the outbound one leads anywhere. */
  startConnect(run: ExchangeRun, generation: Generation, peer: ServerPeer): void {
    const { spec } = peer.binding;
    const where = connectDestination(generation, run.head.authority, spec.side === 'outbound' && spec.destination === undefined);
    if ('reason' in where) {
      if (spec.side === 'outbound') run.pin = pinFor(generation.unknownConnects, generation.label);
      run.refuse(where);
      return;
    }
    if (run.trace !== null) this.#engine.tracer?.decide(run);
    this.#callOut(run, generation, where, true);
  }

  /** A host that no document declares: it is suggested, and called where the Mesh says so. */
  #undeclared(generation: Generation, authority: string): Destination | null {
    this.#calls.wentTo(authority);
    return generation.tcpByAuthority.has(authority) ? null : this.#outside.find(generation, authority);
  }

  #callOut(run: ExchangeRun, generation: Generation, destination: Destination, connects = false): void {
    this.#engine.ensureRequestId(run);
    const chosen = callerRoute(run, destination);
    if (chosen === null) return;
    run.pin = pinFor(connects ? chosen.connects : chosen.place, generation.label);
    run.destination = destination.service;
    const target = chooseTarget(chosen.targets, chosen.sticky, run.head, this.#engine.thread.random);
    if (target === null) refuseWithoutInstance(run, destination, chosen.targets);
    else run.dispatch(chosen.caller, target.target);
  }
}

function unknownDetail(generation: Generation, authority: string): string {
  if (generation.tcpByAuthority.has(authority)) return `${authority} carries TCP, and this is a request: the app reaches it through a port of its own (--outbound-for ${authority}=PORT)`;
  const pass = generation.snapshot.fleet.unknownDestinations === 'refuse' ? '' : ', and no host that may be called from here';
  return `${authority || 'no host'} is not among the declared destinations${pass}`;
}

const proxyAuthorizationHeader = headerId('proxy-authorization');
