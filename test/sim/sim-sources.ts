import type { AskedSource } from '@remora/model/discovery-schema';
import type { DiscoverySource, SourceObserver } from '@remora/control-plane/discovery/discovery-source';
import type { FoundInstance } from '@remora/control-plane/discovery/found-instance';
import type { VirtualWorld } from './virtual-world.ts';

/** Services whose instances are found, not announced, and where: nobody in the fleet runs them, some call them. */
const foundServices = { ledger: 'consul', stock: 'dns' } as const satisfies Record<string, AskedSource>;
export type FoundService = keyof typeof foundServices;
export const foundServiceNames = Object.keys(foundServices) as readonly FoundService[];

export function isFound(service: string): service is FoundService {
  return service in foundServices;
}

/**
 * What a source says at the moment: everything; nothing; some of it; an old answer; that it has none. `blinking`: one instance comes and goes with every answer.
 */
const moods = ['right', 'empty', 'half', 'old', 'silent', 'blinking'] as const;
type Mood = (typeof moods)[number];

const pollMs = 2_000;
/** The truth changes less often than the guard forgets, so that only lies look like a disaster. */
const truthEveryMs = 12_000;

/** Consul and DNS of one run: what is true of each Service, and what they say of it. They outlive the control plane. */
export class SimSources {
  readonly #world: VirtualWorld;
  readonly #books: ReadonlyMap<string, SourceBook>;
  /** Answers that were not the truth, and that were none. */
  lies = 0;

  constructor(world: VirtualWorld) {
    this.#world = world;
    this.#books = new Map(foundServiceNames.map((service) => [service, new SourceBook(world, service)]));
  }

  /** Of a control plane that starts. */
  sourcesFor(alive: () => boolean): ReadonlyMap<AskedSource, DiscoverySource> {
    return new Map(Object.values(foundServices).map((kind) => [kind, this.#source(kind, alive)]));
  }

  /** Names of all instances that there are. */
  truth(service: FoundService): ReadonlySet<string> {
    return new Set(this.#book(service).truth);
  }

  /** Some source begins to lie, to fail, or to say the truth again. */
  changeMood(): void {
    this.#book(this.#world.pick(foundServiceNames)).mood = this.#world.pick(moods);
  }

  /** Every source says what is true, and nothing changes any more. */
  heal(): void {
    for (const book of this.#books.values()) {
      book.mood = 'right';
      book.steady = true;
    }
  }

  #source(kind: AskedSource, alive: () => boolean): DiscoverySource {
    let closed = false;
    return {
      kind,
      follow: ({ service }, observer) => {
        let following = true;
        const ask = (): void => {
          if (!following || closed || !alive()) return;
          this.#answer(this.#book(service as FoundService), observer);
          this.#world.after(pollMs / 2 + this.#world.upTo(pollMs), ask);
        };
        this.#world.after(this.#world.upTo(500), ask);
        return { close: () => { following = false; } };
      },
      close: () => { closed = true; },
    };
  }

  #answer(book: SourceBook, observer: SourceObserver): void {
    const said = book.say();
    if (said === null || said.size !== book.truth.length) this.lies += 1;
    if (said === null) observer.failed(`${book.service} is not known here at the moment`);
    else observer.answered([...said].map(instance), []);
  }

  #book(service: FoundService): SourceBook {
    const book = this.#books.get(service);
    if (!book) throw new Error(`nobody knows ${service}`);
    return book;
  }
}

class SourceBook {
  readonly service: string;
  mood: Mood = 'right';
  /** Nothing changes any more. */
  steady = false;
  truth: readonly string[];
  readonly #world: VirtualWorld;
  #last = 6;
  #old: readonly string[];
  #changedAt = 0;
  #blinks = false;

  constructor(world: VirtualWorld, service: string) {
    this.#world = world;
    this.service = service;
    this.truth = Array.from({ length: this.#last }, (_, i) => `${service}-${i + 1}`);
    this.#old = this.truth;
  }

  /** null: no answer. */
  say(): ReadonlySet<string> | null {
    this.#live();
    switch (this.mood) {
      case 'right': return new Set(this.truth);
      case 'empty': return new Set();
      case 'half': return new Set(this.truth.filter(() => this.#world.chance(0.5)));
      case 'old': return new Set(this.#old);
      case 'silent': return null;
      case 'blinking':
        this.#blinks = !this.#blinks;
        return new Set(this.#blinks ? this.truth.slice(1) : this.truth);
    }
  }

  /** One instance comes, or one goes. */
  #live(): void {
    const nowMs = this.#world.monotonicMs();
    if (this.steady || nowMs - this.#changedAt < truthEveryMs) return;
    this.#changedAt = nowMs;
    this.#old = this.truth;
    if (this.truth.length > 4 && this.#world.chance(0.5)) this.truth = this.truth.filter((_, i) => i !== 1);
    else if (this.truth.length < 9) this.truth = [...this.truth, `${this.service}-${++this.#last}`];
  }
}

function instance(id: string): FoundInstance {
  const number = Number(id.slice(id.indexOf('-') + 1));
  return { id, ports: [{ name: 'http', host: `10.9.${id.length}.${number}`, port: 8080 }], labels: {}, locality: '', weight: 1, backup: false, draining: false };
}
