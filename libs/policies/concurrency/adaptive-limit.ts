import type { Random } from '@remora/core/random';
import type { AtomicWords } from '@remora/policy-kit/atomic-words';
import type { ConcurrencySettings } from './wire.ts';

/**
 * Finds how many requests a service can have under way at once before they only wait for each other: the limit grows while latency stays near what it is
 * without load, and shrinks in proportion as it rises above (the gradient of Envoy's adaptive concurrency and of Netflix's concurrency-limits). What latency is
 * without load is learned from requests that found at most a third of the limit under way. Under constant load there are none: then the limit is a third for a
 * moment, now and again, and at once where it has been shrinking for long, so that a service that has become slower for good is not strangled.
 *
 * Its state is in words that all threads share; what happens once a window is done by the thread that swaps its end. Pure: time and randomness are given.
 */
export class AdaptiveLimit {
  readonly #settings: ConcurrencySettings;
  readonly #words: AtomicWords;

  constructor(settings: ConcurrencySettings, words: AtomicWords) {
    this.#settings = settings;
    this.#words = words;
  }

  static readonly bytes = 64;

  /** As it holds now. */
  get limit(): number {
    const { adaptive, limit } = this.#settings;
    if (!adaptive) return limit;
    const found = this.#found();
    return this.#words.load(probeLeftAt) > 0 ? Math.max(1, Math.floor(found / lightly)) : Math.floor(found);
  }

  /** Latency without load in milliseconds, as far as it is known; 0: not yet. */
  get unloadedMs(): number {
    return this.#words.load(unloadedAt) / unitsPerMs;
  }

  /** A request was let in. `underWay`: with it. */
  entered(underWay: number): void {
    if (underWay > this.#words.load(peakAt)) this.#words.store(peakAt, underWay);
  }

  /** It was answered. `found`: how many were under way when it was let in, itself included. */
  answered(latencyMs: number, found: number, nowMs: number, random: Random): void {
    if (!this.#settings.adaptive) return;
    const units = Math.max(1, Math.round(Math.min(latencyMs, latencyMaxMs) * unitsPerMs));
    this.#words.add(sumAt, units);
    const count = this.#words.add(countAt, 1) + 1;
    if (found <= Math.max(1, this.#found() / lightly)) this.#learn(units);
    const endTick = this.#words.load(windowEndAt);
    const tick = tickOf(nowMs);
    // A window without enough requests goes on for a while.
    const over = (tick - endTick) | 0;
    if (endTick !== 0 && (over < 0 || (count < samplesMin && over < patienceTicks))) return;
    if (this.#words.compareExchange(windowEndAt, endTick, (tick + windowTicks) | 0 || 1) !== endTick) return;
    this.#closeWindow(endTick === 0, tick, random);
  }

  // --- once a window ----------------------------------------------------------------------------------------------

  #closeWindow(first: boolean, tick: number, random: Random): void {
    const sum = this.#words.exchange(sumAt, 0);
    const count = this.#words.exchange(countAt, 0);
    const peak = this.#words.exchange(peakAt, 0);
    if (first) this.#planProbe(tick, random);
    const left = this.#words.load(probeLeftAt);
    if (left > 0) {
      this.#words.store(probeLeftAt, left - 1);
      return;
    }
    const unloaded = this.#words.load(unloadedAt);
    if (count === 0 || unloaded === 0) return;
    const gradient = Math.min(1, Math.max(0.5, (unloaded * (1 + this.#settings.tolerance)) / (sum / count)));
    const reached = peak >= Math.floor(this.#found());
    this.#move(gradient, peak);
    this.#considerProbe(gradient, reached, tick, random);
  }

  /** Without requests that need it, a limit does not grow: what a service can do is not learned by not asking it. */
  #move(gradient: number, peak: number): void {
    const { limitMin, limitMax } = this.#settings;
    const found = this.#found();
    const next = found * gradient + headroom * Math.sqrt(found);
    if (next > found && peak < found / 2) return;
    this.#words.store(limitAt, Math.round(Math.min(limitMax, Math.max(limitMin, found + (next - found) * smoothing)) * limitUnits));
  }

  #considerProbe(gradient: number, reached: boolean, tick: number, random: Random): void {
    // Of few requests in a window the mean is rough: one that looks well takes two back, and not all.
    const shrinking = Math.max(0, this.#words.load(shrinkingAt) + (gradient < shrinkingBelow ? 1 : -2));
    this.#words.store(shrinkingAt, shrinking);
    const late = (tick - this.#words.load(nextProbeAt)) | 0;
    if (shrinking < shrinkingWindows && (late < 0 || (!reached && late < this.#patience()))) return;
    this.#words.store(shrinkingAt, 0);
    this.#words.store(probeLeftAt, probeWindows);
    if (shrinking >= shrinkingWindows) {
      // What was learned is no longer so.
      this.#words.store(learnedAt, 0);
      this.#words.store(earlyAt, 0);
    }
    this.#planProbe(tick, random);
  }

  /** Ticks that an early probe waits where nothing reaches the limit: it would cost more than it finds. */
  #patience(): number {
    return this.#words.load(learnedAt) < memory ? this.#settings.probeEveryMs / tickMs : 0;
  }

  /** Soon where little has been learned: under constant load the first handful of requests is all there is, and a limit by their mean may be a tenth of what it should be. */
  #planProbe(tick: number, random: Random): void {
    const { probeEveryMs, probeJitter } = this.#settings;
    let everyMs = probeEveryMs;
    if (this.#words.load(learnedAt) < memory) everyMs = Math.min(probeEveryMs, earlyMs * 2 ** Math.min(earlyMax, this.#words.add(earlyAt, 1)));
    this.#words.store(nextProbeAt, (tick + Math.ceil((everyMs * (1 + probeJitter * random.next())) / tickMs)) | 0);
  }

  // --- latency without load ---------------------------------------------------------------------------------------

  /** A mean that forgets: of the first few all count alike. */
  #learn(units: number): void {
    const learned = this.#words.load(learnedAt);
    if (learned < memory) this.#words.store(learnedAt, learned + 1);
    const seen = learned < memory ? learned + 1 : this.#words.load(probeLeftAt) > 0 ? probeMemory : memory;
    for (;;) {
      const known = this.#words.load(unloadedAt);
      const next = known === 0 ? units : Math.max(1, Math.round(known + (units - known) / seen));
      if (this.#words.compareExchange(unloadedAt, known, next) === known) return;
    }
  }

  #found(): number {
    const found = this.#words.load(limitAt);
    return found === 0 ? this.#settings.limit : found / limitUnits;
  }
}

/** Never 0, which is before the first window. */
function tickOf(nowMs: number): number {
  return (Math.floor(nowMs / tickMs) + 1) | 0 || 1;
}

const tickMs = 10;
/** A window is 100 ms, or as long as it takes for ten requests to end, up to a second. */
const windowTicks = 10;
const patienceTicks = 90;
const samplesMin = 10;
/** Windows of a probe: the first is for what was let in before. */
const probeWindows = 4;
const shrinkingBelow = 0.6;
/** Shrinking in so many more windows than not: perhaps it is not load. */
const shrinkingWindows = 20;
const smoothing = 0.5;
/** Times the root of the limit: what it may grow by in a window. */
const headroom = 0.8;
/** Share of the limit with which a service is not loaded. */
const lightly = 3;
/** Requests that latency without load is the mean of. */
const memory = 200;
/** While it is probed, when there are few: fewer would make it a matter of chance where some take long. */
const probeMemory = 100;
/** The first probe where little has been learned, and how often the wait doubles. */
const earlyMs = 1_000;
const earlyMax = 10;
const unitsPerMs = 128;
const latencyMaxMs = 60_000;
const limitUnits = 1000;

const limitAt = 0;
const unloadedAt = 1;
const sumAt = 2;
const countAt = 3;
const peakAt = 4;
const windowEndAt = 5;
const nextProbeAt = 6;
const probeLeftAt = 7;
const shrinkingAt = 8;
const learnedAt = 9;
const earlyAt = 10;
