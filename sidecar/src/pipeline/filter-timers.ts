import type { Exchange } from '@remora/policy-kit/exchange';
import type { Due, FilterTimers, TimerRun } from '@remora/policy-kit/runtime-kind';
import type { ExchangeRun } from './exchange-run.ts';
import { WheelNode, type TimerWheels } from '../io/timer-wheel.ts';

/** Delays of filters and layers. What has not fired when its exchange completes is cancelled, so that nothing outlives it in the wheel. */
export class WheelFilterTimers implements FilterTimers {
  readonly #wheels: TimerWheels;

  constructor(wheels: TimerWheels) {
    this.#wheels = wheels;
  }

  after(delayMs: number, run: TimerRun | Due, x: Exchange, token: number): void {
    const owner = x as ExchangeRun;
    if (owner.ended) return;
    const timer = new ExchangeTimer(this.#wheels, run, owner, token);
    timer.nextOfExchange = owner.timers;
    owner.timers = timer;
    this.#wheels.arm(timer, delayMs);
  }
}

export class ExchangeTimer extends WheelNode {
  nextOfExchange: ExchangeTimer | null = null;
  readonly #wheels: TimerWheels;
  readonly #run: TimerRun | Due;
  readonly #x: ExchangeRun;
  readonly #token: number;

  constructor(wheels: TimerWheels, run: TimerRun | Due, x: ExchangeRun, token: number) {
    super();
    this.#wheels = wheels;
    this.#run = run;
    this.#x = x;
    this.#token = token;
  }

  cancel(): void {
    this.#wheels.cancel(this);
  }

  fire(): void {
    if (this.#x.ended) return;
    const run = this.#run;
    if (typeof run === 'function') run(this.#x, this.#token);
    else run.due(this.#x, this.#token);
  }
}
