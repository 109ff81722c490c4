import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock } from '@remora/core/clock';
import type { DiscoverySource, Following, SourceTarget } from './discovery-source.ts';
import { usableInstances, type FoundInstance } from './found-instance.ts';
import { SourceHold, type HeldInstance, type HoldLimits } from './source-hold.ts';

/** How one source does for one Service. */
export interface FeedReport {
  readonly service: string;
  readonly source: DiscoverySource['kind'] | 'static';
  /** What is asked for, in the source's own words: `payments.internal (srv)`. */
  readonly asked: string;
  /**
   * `waiting`: no answer yet, so nothing is known. `current`: the last try was answered. `failing`: it was not; the last answer holds.
   * `missing`: this control plane is not set up for the source.
   */
  readonly state: 'waiting' | 'current' | 'failing' | 'missing';
  /** Unix ms; null: never. */
  readonly answeredAtMs: number | null;
  /** Unix ms: since when tries fail; null: they do not. */
  readonly failingSinceMs: number | null;
  /** Why; '' where nothing is wrong. */
  readonly error: string;
  readonly problems: readonly string[];
  readonly instances: number;
  readonly suspect: number;
}

export interface FeedDeps {
  readonly clock: Clock;
  readonly limits: HoldLimits;
  /** Callers see something else now. */
  readonly changed: () => void;
  /** Another answer that differs: to be kept for the next start. */
  readonly store: () => void;
  readonly count: { readonly answers: () => void; readonly failures: () => void };
}

const messageMax = 500;

/** One Service followed at one source: the last good answer, what is doubted, and how the source does. */
export class SourceFeed {
  readonly target: SourceTarget;
  readonly asked: string;
  readonly #kind: FeedReport['source'];
  readonly #deps: FeedDeps;
  readonly #hold: SourceHold;
  #following: Following | null = null;
  #answeredAtMs: number | null = null;
  #failingSinceMs: number | null = null;
  #error = '';
  #problems: readonly string[] = [];
  #missing = false;

  constructor(target: SourceTarget, shown: { readonly kind: FeedReport['source']; readonly asked: string }, deps: FeedDeps) {
    this.target = target;
    this.asked = shown.asked;
    this.#kind = shown.kind;
    this.#deps = deps;
    this.#hold = new SourceHold(deps.limits);
  }

  /** Something was answered, now or to an earlier process. */
  get known(): boolean {
    return this.#answeredAtMs !== null;
  }

  get held(): readonly HeldInstance[] {
    return this.#hold.instances;
  }

  /** `source` null: this control plane has none of that kind. */
  start(source: DiscoverySource | null, why: string): void {
    if (source === null) {
      this.#missing = true;
      this.#error = why;
      return;
    }
    this.#following = source.follow(this.target, {
      answered: (instances, problems) => this.#answered(instances, problems),
      failed: (message) => this.#failed(message),
    });
  }

  /** What an earlier process kept, as `record` wrote it; one of another shape is passed over. */
  restore(record: JsonObject): void {
    const { instances, answeredAtMs, suspects, gone } = record;
    if (!Array.isArray(instances) || typeof answeredAtMs !== 'number') return;
    const { instances: usable } = usableInstances(instances.filter(isInstance), []);
    const nowMs = this.#deps.clock.monotonicMs();
    const doubted = new Set(Array.isArray(suspects) ? suspects.filter((id) => typeof id === 'string') : []);
    this.#hold.restore(
      { instances: usable, suspects: doubted, gone: typeof gone === 'number' && gone > 0 ? Math.floor(gone) : 0 },
      { sinceMs: nowMs - Math.max(0, this.#deps.clock.wallMs() - answeredAtMs), nowMs },
    );
    this.#answeredAtMs = answeredAtMs;
  }

  record(): JsonObject {
    const held = this.#hold.instances;
    return {
      answeredAtMs: this.#answeredAtMs,
      instances: held.map(({ instance }) => ({ ...instance, ports: instance.ports.map((port) => ({ ...port })), labels: { ...instance.labels } })),
      suspects: held.flatMap(({ instance, suspectUntilMs }) => (suspectUntilMs === null ? [] : [instance.id])),
      gone: this.#hold.goneLately,
    };
  }

  sweep(): void {
    if (this.#hold.sweep(this.#deps.clock.monotonicMs())) this.#tell();
  }

  report(): FeedReport {
    const state = this.#missing ? 'missing' : this.#failingSinceMs !== null ? 'failing' : this.#fresh ? 'current' : 'waiting';
    return {
      service: this.target.service, source: this.#kind, asked: this.asked, state, answeredAtMs: this.#answeredAtMs, failingSinceMs: this.#failingSinceMs,
      error: this.#error, problems: this.#problems, instances: this.#hold.instances.length, suspect: this.#hold.suspects,
    };
  }

  close(): void {
    this.#following?.close();
    this.#following = null;
  }

  /** Answered in this process. */
  #fresh = false;

  #answered(found: readonly FoundInstance[], said: readonly string[]): void {
    const { instances, problems } = usableInstances(found, said);
    const first = !this.known;
    this.#deps.count.answers();
    this.#answeredAtMs = this.#deps.clock.wallMs();
    this.#failingSinceMs = null;
    this.#error = '';
    this.#problems = problems;
    this.#fresh = true;
    if (this.#hold.answer(instances, this.#deps.clock.monotonicMs()) || first) this.#tell();
  }

  #failed(message: string): void {
    this.#deps.count.failures();
    this.#failingSinceMs ??= this.#deps.clock.wallMs();
    this.#error = message.length > messageMax ? `${message.slice(0, messageMax)}…` : message;
  }

  #tell(): void {
    this.#deps.store();
    this.#deps.changed();
  }
}

function isInstance(value: unknown): value is FoundInstance {
  const one = value as Partial<Record<keyof FoundInstance, unknown>> | null;
  return typeof one === 'object' && one !== null && typeof one.id === 'string' && Array.isArray(one.ports) && typeof one.labels === 'object' && one.labels !== null
    && typeof one.locality === 'string' && typeof one.weight === 'number' && typeof one.backup === 'boolean' && typeof one.draining === 'boolean';
}
