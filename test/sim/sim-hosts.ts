import type { VirtualWorld } from './virtual-world.ts';

/** How a host answers: well; with 503; not at all, because nothing listens; half of the time with 503. */
const conditions = ['well', 'well', 'failing', 'refusing', 'wavering'] as const;
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

  call(id: string): AttemptEnd {
    if (this.#outage) return 'failed';
    switch (this.#conditions.get(id) ?? 'well') {
      case 'well': return 'answered';
      case 'failing': return 'failed';
      case 'refusing': return 'refused';
      case 'wavering': return this.#world.chance(0.5) ? 'failed' : 'answered';
    }
  }
}
