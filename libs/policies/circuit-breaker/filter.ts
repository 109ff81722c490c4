import { reasons } from '@remora/errors/reason';
import { makeField } from '@remora/http/header-ids';
import type { Field } from '@remora/http/head';
import { SharedWords } from '@remora/policy-kit/atomic-words';
import { ControlPlaneTime, controlPlaneTimeKind } from '@remora/policy-kit/control-plane-time';
import type { Call, CallLimit, Dispatch, Layer, Sink } from '@remora/policy-kit/exchange';
import { OrderedState } from '@remora/policy-kit/ordered-state';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { BreakerMachine, noTicket } from './breaker-machine.ts';
import { DestinationBreaker } from './destination-breaker.ts';
import { counted, DestinationCounts, DestinationRoom, thresholdLimit } from './destination-counts.ts';
import { GuardedAttempt, GuardedBody } from './guarded-attempt.ts';
import { circuitOpen } from './reasons.ts';
import { RefusedAttempt } from './refused-attempt.ts';
import { circuitBreakerWire, type CircuitBreakerSettings, type FailOnSettings, type MachineSettings, type ThresholdSettings } from './wire.ts';

/** Bounds what is under way to a destination, and sends nothing to one that fails until it has recovered. */
export const circuitBreakerRuntime: RuntimeKind<CircuitBreakerSettings> = {
  ...circuitBreakerWire,
  side: 'caller',
  tcp: true,
  reasons: [circuitOpen],
  layer: makeLayer,
};

function makeLayer({ thresholds, machine }: CircuitBreakerSettings, context: FilterContext): Layer {
  const destination = context.scope.slice(0, context.scope.lastIndexOf('/'));
  const gate = new Gate(thresholds, machine, destination, context);
  return (next) => (call, response) => gate.dispatch(next, call, response);
}

/** Decides over each attempt of one place. */
class Gate {
  readonly #thresholds: ThresholdSettings;
  readonly #context: FilterContext;
  readonly #counts: DestinationCounts;
  readonly #room: DestinationRoom;
  readonly #ordered: OrderedState;
  readonly #make: () => BreakerMachine | null;
  readonly #parts: { readonly failOn: FailOnSettings; readonly slowMs: number; readonly service: string };
  readonly #refused: () => void;
  readonly #overflowed: () => void;
  #breaker: DestinationBreaker | null = null;

  constructor(thresholds: ThresholdSettings, settings: MachineSettings | null, destination: string, context: FilterContext) {
    this.#thresholds = thresholds;
    this.#context = context;
    this.#refused = context.counter('circuitBreaker_refused');
    this.#overflowed = context.counter('circuitBreaker_overflowed');
    const mode = context.shadow ? 'shadow' : 'enforce';
    const rows = context.sharedRows(`circuitBreaker/${mode}/counts/${destination}`, 'rows of 16', { commonBytes: 0, rowBytes: DestinationCounts.rowBytes });
    this.#counts = new DestinationCounts(rows);
    this.#room = new DestinationRoom(this.#counts, thresholds, { overflowed: this.#overflowed, shadow: context.shadow });
    const service = destination.slice(destination.lastIndexOf('/') + 1).replace(/:.*/, '');
    this.#ordered = new OrderedState(context.facts(OrderedState.kind), service, { clock: context.clock, time: new ControlPlaneTime(context.clock, context.facts(controlPlaneTimeKind)) });
    this.#parts = { failOn: settings?.failOn ?? nothing, slowMs: settings?.slowCallMs ?? Number.POSITIVE_INFINITY, service };
    this.#make = settings === null ? () => null : machineMaker(settings, `circuitBreaker/${mode}/machine/${destination}`, context);
  }

  dispatch(next: Dispatch, call: Call, response: Sink): Sink {
    const breaker = (this.#breaker ??= new DestinationBreaker({ ...this.#parts, machine: this.#make(), counts: this.#counts, context: this.#context }));
    const { shadow } = this.#context;
    const retry = call.attempt > 1;
    const full = this.#fullThreshold(retry);
    if (full !== null) {
      this.#overflowed();
      if (!shadow) return this.#refuse(new RefusedAttempt(call, response, reasons.overflow, full));
    }
    const nowMs = breaker.nowMs();
    const ticket = this.#admit(breaker, nowMs);
    if (ticket === noTicket && this.#closedFor > 0) {
      this.#refused();
      if (!shadow) return this.#refuse(new RefusedAttempt(call, response, circuitOpen, this.#openLimit()));
    }
    breaker.entered(retry);
    call.room = this.#room;
    const attempt = new GuardedAttempt(breaker, response, ticket, retry, nowMs);
    const body = next(call, attempt);
    return call.head.bodyLength === 0 && call.head.protocol === '' ? body : new GuardedBody(attempt, body);
  }

  /** Of the last refusal, in milliseconds from now; 0: the call may go. */
  #closedFor = 0;
  /** The reason that somebody gave, which may be none; null: nobody said anything. */
  #byHand: string | null = null;

  /** A ticket, or none: then `#closedFor` says whether the call may go. */
  #admit(breaker: DestinationBreaker, nowMs: number): number {
    const { machine } = breaker;
    const order = this.#ordered.now();
    this.#closedFor = 0;
    this.#byHand = null;
    if (order !== null) {
      if (order.what === 'closed') {
        if (machine?.close() === true) this.#tellByHand(breaker, 'closed', order.reason, 0);
        return noTicket;
      }
      this.#closedFor = Math.max(1, this.#ordered.leftMs);
      this.#byHand = order.reason;
      return noTicket;
    }
    if (machine === null) return noTicket;
    const ticket = machine.admit(nowMs);
    breaker.tellChange();
    if (ticket === noTicket) this.#closedFor = Math.max(1, machine.retryInMs);
    return ticket;
  }

  #tellByHand({ service }: DestinationBreaker, event: string, reason: string, untilMs: number): void {
    this.#context.event({ event, service, host: '', pointer: '', detail: `by hand: ${reason}`, untilMs });
  }

  #fullThreshold(retry: boolean): CallLimit | null {
    const { requests, retries } = this.#thresholds;
    if (this.#counts.sum(counted.requests) >= requests) return thresholdLimit('requests', requests);
    return retry && this.#counts.sum(counted.retries) >= retries ? thresholdLimit('retries', retries) : null;
  }

  #openLimit(): CallLimit {
    const seconds = Math.max(1, Math.ceil(this.#closedFor / 1000));
    const detail = this.#byHand === null ? `the breaker is open; it is asked again in ${seconds}s at the earliest` : this.#byHand === '' ? 'opened by hand' : `opened by hand: ${this.#byHand}`;
    return { kind: 'circuitBreaker', pointer: this.#byHand === null ? '/open' : '', detail, fields: retryAfter(seconds) };
  }

  #refuse(refused: RefusedAttempt): Sink {
    this.#context.later(refused);
    return refused;
  }
}

/** Routes with the same settings have one machine; its memory comes with the first request. */
function machineMaker(settings: MachineSettings, key: string, context: FilterContext): () => BreakerMachine {
  const shape = JSON.stringify(settings, (_name, value: unknown) => (value instanceof Set ? [...value] : value));
  const common = BreakerMachine.commonWords(settings);
  const memory = context.sharedRows(`${key}/${shape}`, shape, { commonBytes: common * 4, rowBytes: BreakerMachine.rowWords * 4 });
  return () => new BreakerMachine(settings, {
    words: new SharedWords(memory.buffer), rows: { at: common, words: BreakerMachine.rowWords, threads: memory.rows, own: memory.own },
  });
}

/** Refusals are cheapest when there are most of them: the usual waits are prepared once. */
function retryAfter(seconds: number): readonly Field[] {
  const known = retryAfterFields[seconds];
  if (known !== undefined) return known;
  const fields = [makeField('retry-after', String(seconds))];
  if (seconds <= preparedSecondsMax) retryAfterFields[seconds] = fields;
  return fields;
}

const preparedSecondsMax = 300;
const retryAfterFields: (readonly Field[] | undefined)[] = [];
const nothing: FailOnSettings = Object.freeze({
  connectFailure: false, reset: false, refusedStream: false, timeout: false, serverErrors: false, statuses: new Set<number>(), grpcStatuses: new Set<number>(),
});
