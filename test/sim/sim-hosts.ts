import type { VirtualWorld } from './virtual-world.ts';

/** How a host answers: well; with 503; not at all, because nothing listens; half of the time with 503; thirty times slower than others. */
const conditions = ['well', 'well', 'failing', 'refusing', 'wavering', 'slow'] as const;
type Condition = (typeof conditions)[number];

/** What an attempt at a host comes to. */
export type AttemptEnd = 'answered' | 'failed' | 'refused';

/** The hosts of one run, by name: what is wrong with them is the same for all who call them. */
export class SimHosts {
  readonly #world: VirtualWorld;
  readonly #conditions = new Map<string, Condition>();
  #outage = false;

  constructor(world: VirtualWorld) {
    this.#world = world;
  }

  /** One host falls ill or recovers, or all of them fail for a while. */
  change(ids: Iterable<string>): void {
    this.#outage = this.#world.chance(0.15);
    this.#conditions.set(this.#world.pick([...ids]), this.#world.pick(conditions));
  }

  heal(): void {
    this.#outage = false;
    this.#conditions.clear();
  }

  call(id: string): { readonly end: AttemptEnd; readonly latencyMs: number } {
    const condition = this.#conditions.get(id) ?? 'well';
    return { end: this.#endOf(condition), latencyMs: (5 + this.#world.upTo(10)) * (condition === 'slow' ? 30 : 1) };
  }

  #endOf(condition: Condition): AttemptEnd {
    if (this.#outage) return 'failed';
    switch (condition) {
      case 'well':
      case 'slow': return 'answered';
      case 'failing': return 'failed';
      case 'refusing': return 'refused';
      case 'wavering': return this.#world.chance(0.5) ? 'failed' : 'answered';
    }
  }
}
