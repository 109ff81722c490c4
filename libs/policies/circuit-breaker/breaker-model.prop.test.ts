import { SharedWords, type AtomicWords } from '@remora/policy-kit/atomic-words';
import { seededRandom, type Random } from '@remora/core/random';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BreakerMachine, noTicket, openMs } from './breaker-machine.ts';
import { breakerStates } from './breaker-word.ts';
import type { CallEnd } from './call-window.ts';
import type { MachineSettings } from './wire.ts';

const base: MachineSettings = {
  consecutiveFailures: 0, failureRate: 0, slowCallRate: 0, slowCallMs: 1000, windowCalls: 0, windowMs: 1000, minimumCalls: 3, openBaseMs: 100, openMaxMs: 400, openJitter: 0.2, probes: 2, successes: 3,
  probePatienceMs: 320,
  failOn: { connectFailure: true, reset: true, refusedStream: false, timeout: true, serverErrors: true, statuses: new Set(), grpcStatuses: new Set() },
};

const settingsOf = fc.record({
  consecutiveFailures: fc.integer({ min: 0, max: 4 }), failureRate: fc.constantFrom(0, 0.3, 0.5, 1), slowCallRate: fc.constantFrom(0, 0.5), window: fc.constantFrom({ calls: 4 }, { calls: 9 }, { ms: 160 }, { ms: 1600 }),
  minimumCalls: fc.integer({ min: 1, max: 4 }), probes: fc.integer({ min: 1, max: 3 }), successes: fc.integer({ min: 1, max: 4 }),
}).map(({ window, ...rest }): MachineSettings => ({ ...base, ...rest, windowCalls: 'calls' in window ? window.calls ?? 0 : 0, windowMs: 'ms' in window ? window.ms ?? 0 : 0 }));

/** Times are multiples of the 16 ms that openings are rounded up to. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('admit' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(5), end: fc.constantFrom<CallEnd | null>({ failed: false, slow: false }, { failed: true, slow: false }, { failed: false, slow: true }, null) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 40 }).map((ticks) => ticks * 16) }) },
);

/** What the machine is to be, written down without a thought for threads: calls in a list, times as they are. */
class Model {
  state: 'closed' | 'open' | 'half-open' = 'closed';
  readonly #settings: MachineSettings;
  readonly #random: Random;
  #era = 0;
  #opens = 0;
  #untilMs = 0;
  #inARow = 0;
  #calls: { readonly end: CallEnd; readonly atMs: number }[] = [];
  #out = 0;
  #succeeded = 0;

  constructor(settings: MachineSettings, random: Random) {
    this.#settings = settings;
    this.#random = random;
  }

  admit(nowMs: number): number {
    if (this.state === 'closed') return this.#era;
    if (nowMs >= this.#untilMs) this.#go('half-open', nowMs + this.#settings.probePatienceMs);
    if (this.state === 'open' || this.#out >= this.#settings.probes) return -1;
    this.#out += 1;
    return this.#era;
  }

  ended(era: number, end: CallEnd | null, nowMs: number): void {
    if (era !== this.#era) return;
    if (this.state === 'half-open') this.#probed(end, nowMs);
    else if (end !== null) this.#called(end, nowMs);
  }

  #probed(end: CallEnd | null, nowMs: number): void {
    if (end !== null && (end.failed || (end.slow && this.#settings.slowCallRate > 0))) {
      this.#open(nowMs);
      return;
    }
    this.#out -= 1;
    if (end === null) return;
    this.#succeeded += 1;
    if (this.#succeeded < this.#settings.successes) return;
    this.#opens = 0;
    this.#go('closed', 0);
  }

  #called(end: CallEnd, nowMs: number): void {
    const { consecutiveFailures, failureRate, slowCallRate, windowCalls, windowMs, minimumCalls } = this.#settings;
    this.#inARow = end.failed ? this.#inARow + 1 : 0;
    if (consecutiveFailures > 0 && this.#inARow >= consecutiveFailures) {
      this.#open(nowMs);
      return;
    }
    this.#calls.push({ end, atMs: nowMs });
    const bucket = (ms: number): number => Math.floor(ms / (windowMs / 10));
    const judged = windowCalls > 0 ? this.#calls.slice(-windowCalls) : this.#calls.filter(({ atMs }) => bucket(atMs) > bucket(nowMs) - 10);
    if (judged.length < minimumCalls) return;
    const failures = judged.filter((call) => call.end.failed).length;
    const slow = judged.filter((call) => call.end.slow).length;
    if ((failureRate > 0 && failures >= judged.length * failureRate) || (slowCallRate > 0 && slow >= judged.length * slowCallRate)) this.#open(nowMs);
  }

  #open(nowMs: number): void {
    this.#opens += 1;
    this.#go('open', nowMs + openMs(this.#opens, this.#settings, this.#random));
  }

  #go(state: Model['state'], untilMs: number): void {
    this.state = state;
    this.#era += 1;
    this.#untilMs = Math.ceil(untilMs / 16) * 16;
    this.#inARow = 0;
    this.#calls = [];
    this.#out = 0;
    this.#succeeded = 0;
  }
}

const names = { [breakerStates.closed]: 'closed', [breakerStates.open]: 'open', [breakerStates.halfOpen]: 'half-open' } as const;

function bytesFor(settings: MachineSettings, threads: number): { readonly buffer: ArrayBuffer; readonly at: number } {
  const at = BreakerMachine.commonWords(settings);
  return { buffer: new ArrayBuffer((at + threads * BreakerMachine.rowWords) * 4), at };
}

describe('a breaker', () => {
  test('does what its model does, call by call', () => {
    const seed = Number(process.env['FC_SEED'] ?? Date.now() % 0x7fff_ffff);
    fc.assert(fc.property(settingsOf, fc.array(step, { minLength: 20, maxLength: 300 }), fc.nat(1000), (settings, steps, randomSeed) => {
      const { buffer, at } = bytesFor(settings, 1);
      const machine = new BreakerMachine(settings, { words: new SharedWords(buffer), rows: { at, words: BreakerMachine.rowWords, threads: 1, own: 0 } });
      const model = new Model(settings, seededRandom(randomSeed));
      const random = seededRandom(randomSeed);
      let nowMs = 16_000;
      let calls: { readonly ticket: number; readonly era: number }[] = [];
      for (const one of steps) {
        if (one.do === 'wait') nowMs += one.ms;
        else if (one.do === 'admit') {
          const [ticket, era] = [machine.admit(nowMs), model.admit(nowMs)];
          expect(ticket === noTicket).toBe(era === -1);
          if (ticket !== noTicket) calls.push({ ticket, era });
        } else {
          const call = calls[one.which % Math.max(1, calls.length)];
          if (call === undefined) continue;
          calls = calls.filter((other) => other !== call);
          machine.ended(call.ticket, one.end, nowMs, random);
          model.ended(call.era, one.end, nowMs);
        }
        expect(names[machine.state]).toBe(model.state);
      }
    }), { seed, numRuns: 300 });
    console.log(`breaker model: seed ${seed}`);
  });
});

/** Memory in which other threads do something between any two operations of the one that runs. */
class InterleavedWords implements AtomicWords {
  readonly #words: SharedWords;
  readonly #between: () => void;

  constructor(buffer: ArrayBuffer, between: () => void) {
    this.#words = new SharedWords(buffer);
    this.#between = between;
  }

  #after<T>(value: T): T {
    this.#between();
    return value;
  }

  load(at: number): number {
    return this.#after(this.#words.load(at));
  }

  store(at: number, value: number): void {
    this.#after(this.#words.store(at, value));
  }

  compareExchange(at: number, expected: number, value: number): number {
    return this.#after(this.#words.compareExchange(at, expected, value));
  }

  loadPair(at: number): bigint {
    return this.#after(this.#words.loadPair(at));
  }

  compareExchangePair(at: number, expected: bigint, value: bigint): bigint {
    return this.#after(this.#words.compareExchangePair(at, expected, value));
  }

  add(at: number, value: number): number {
    return this.#after(this.#words.add(at, value));
  }

  exchange(at: number, value: number): number {
    return this.#after(this.#words.exchange(at, value));
  }
}

describe('a breaker under several threads, interleaved at each atomic operation', () => {
  const threads = 3;

  /** Whole operations of other threads run between the operations of one, and others between theirs. */
  function run(settings: MachineSettings, seed: number): void {
    const { buffer, at } = bytesFor(settings, threads);
    const pick = seededRandom(seed);
    const busy = new Set<number>();
    const changes: string[] = [];
    const probes = new Map<number, number>();
    const held: number[][] = Array.from({ length: threads }, () => []);
    let nowMs = 16_000;
    const act = (thread: number): void => {
      const machine = machines[thread] as BreakerMachine;
      const mine = held[thread] as number[];
      busy.add(thread);
      if (mine.length === 0 || (mine.length < 4 && pick.next() < 0.5)) {
        const ticket = machine.admit(nowMs);
        if (ticket !== noTicket) mine.push(ticket);
        if (ticket !== noTicket && (ticket & 3) === breakerStates.halfOpen) probes.set(ticket, (probes.get(ticket) ?? 0) + 1);
      } else {
        const ticket = mine.shift() as number;
        if (probes.has(ticket)) probes.set(ticket, (probes.get(ticket) ?? 0) - 1);
        const chance = pick.next();
        machine.ended(ticket, chance < 0.1 ? null : { failed: chance < 0.5, slow: false }, nowMs, pick);
      }
      if (machine.change !== null) changes.push(machine.change.event);
      busy.delete(thread);
    };
    const between = (): void => {
      if (busy.size < threads && pick.next() < 0.3) {
        const other = Math.floor(pick.next() * threads);
        if (!busy.has(other)) act(other);
      }
    };
    const machines = Array.from({ length: threads }, (_, own) => (
      new BreakerMachine(settings, { words: new InterleavedWords(buffer, between), rows: { at, words: BreakerMachine.rowWords, threads, own } })
    ));
    for (let i = 0; i < 400; i += 1) {
      act(Math.floor(pick.next() * threads));
      if (pick.next() < 0.1) nowMs += 16 * Math.ceil(pick.next() * 20);
      for (const out of probes.values()) expect(out).toBeLessThanOrEqual(settings.probes + threads - 1);
    }
    for (let thread = 0; thread < threads; thread += 1) busy.add(thread);
    // Every change was made, and told, by exactly one thread: as many openings as endings of them.
    const count = (event: string): number => changes.filter((each) => each === event).length;
    const { state } = machines[0] as BreakerMachine;
    const trials = count('half-open');
    expect(count('opened')).toBe(trials + (state === breakerStates.open ? 1 : 0));
    expect(count('closed')).toBeLessThanOrEqual(trials);
  }

  test('each change is told once, probes are no more than permitted', () => {
    const seed = Number(process.env['FC_SEED'] ?? Date.now() % 0x7fff_ffff);
    const result = fc.check(fc.property(settingsOf, fc.nat(0x7fff_ffff), (settings, runSeed) => run({ ...settings, consecutiveFailures: settings.consecutiveFailures || 3 }, runSeed)), { seed, numRuns: 200 });
    expect(result.failed, fc.defaultReportMessage(result)).toBe(false);
    console.log(`breaker threads: seed ${seed}`);
  });

  test('no call is lost from a window of calls, or counted twice', () => {
    fc.assert(fc.property(fc.nat(0x7fff_ffff), fc.integer({ min: 1, max: 30 }), (seed, calls) => {
      const settings: MachineSettings = { ...base, failureRate: 1, windowCalls: 40, windowMs: 0, minimumCalls: 40 };
      const { buffer, at } = bytesFor(settings, threads);
      const pick = seededRandom(seed);
      let left = calls;
      let depth = 0;
      const one = (): void => {
        if (left === 0 || depth >= threads) return;
        left -= 1;
        const machine = machines[depth] as BreakerMachine;
        depth += 1;
        machine.ended(machine.admit(0), { failed: true, slow: false }, 0, pick);
        depth -= 1;
      };
      const machines = Array.from({ length: threads }, (_, own) => (
        new BreakerMachine(settings, { words: new InterleavedWords(buffer, () => { if (pick.next() < 0.2) one(); }), rows: { at, words: BreakerMachine.rowWords, threads, own } })
      ));
      while (left > 0) one();
      const rest = settings.windowCalls - calls;
      const last = machines[0] as BreakerMachine;
      for (let i = 1; i < rest; i += 1) last.ended(last.admit(0), { failed: true, slow: false }, 0, pick);
      left = 0;
      expect(last.state).toBe(breakerStates.closed);
      last.ended(last.admit(0), { failed: true, slow: false }, 0, pick);
      expect(last.state).toBe(breakerStates.open);
    }), { numRuns: 200 });
  });
});
