import type { Decision } from './decision.ts';

interface Kept {
  readonly decision: Decision;
  readonly untilMs: number;
}

/** Decisions by key, for a while. Bounded: the one that was used longest ago goes. Failures are not kept. */
export class DecisionCache {
  readonly #kept = new Map<string, Kept>();
  readonly #max: number;
  readonly #ttlMs: number;

  constructor(max: number, ttlMs: number) {
    this.#max = max;
    this.#ttlMs = ttlMs;
  }

  get(key: string, nowMs: number): Decision | null {
    const kept = this.#kept.get(key);
    if (kept === undefined) return null;
    this.#kept.delete(key);
    if (nowMs >= kept.untilMs) return null;
    this.#kept.set(key, kept);
    return kept.decision;
  }

  put(key: string, decision: Decision, nowMs: number): void {
    if (decision.kind === 'failed') return;
    this.#kept.delete(key);
    if (this.#kept.size >= this.#max) for (const oldest of this.#kept.keys()) {
      this.#kept.delete(oldest);
      break;
    }
    this.#kept.set(key, { decision, untilMs: nowMs + this.#ttlMs });
  }

  get size(): number {
    return this.#kept.size;
  }
}
