import { contentHash } from '@remora/core/hash';
import type { SubjectKey } from '@remora/core/subject';
import type { Planned } from '../compile/planner.ts';
import type { EncodedItem, StateItemSource } from './state-items.ts';

/** What is said about services, for those who call them. */
export interface DestinationFacts {
  /** Null: nothing. The same facts are the same bytes. */
  bodyOf(service: string): Uint8Array | null;
  onChange(listener: (service: string) => void): () => void;
}

/** Facts about services on their way to those who call them: one item for each destination that has any. */
export class DestinationItems implements StateItemSource {
  readonly kind: string;
  readonly #facts: DestinationFacts;
  readonly #listeners = new Set<(subjects: readonly SubjectKey[] | 'all') => void>();
  /** Encoded once for all callers. */
  readonly #encoded = new Map<string, EncodedItem | null>();
  readonly #answers = new Map<SubjectKey, readonly EncodedItem[]>();
  #planned: Planned | null = null;

  constructor(kind: string, facts: DestinationFacts) {
    this.kind = kind;
    this.#facts = facts;
    facts.onChange((service) => {
      this.#encoded.delete(service);
      const callers = [...this.#planned?.state.callers.get(service) ?? []];
      for (const caller of callers) this.#answers.delete(caller);
      if (callers.length > 0) this.#tell(callers);
    });
  }

  /** Who calls whom may have changed. */
  follow(planned: Planned): void {
    const first = this.#planned === null;
    this.#planned = planned;
    if (first) {
      this.#tell('all');
      return;
    }
    const concerned = [...planned.changed].filter((subject) => this.#forget(subject));
    if (concerned.length > 0) this.#tell(concerned);
  }

  itemsFor(subject: SubjectKey): readonly EncodedItem[] | null {
    const planned = this.#planned;
    if (planned === null) return null;
    let answer = this.#answers.get(subject);
    if (answer === undefined) {
      const destinations = planned.compilation.subjects.get(subject)?.destinations ?? [];
      answer = destinations.map((service) => this.#itemOf(service)).filter((item) => item !== null);
      this.#answers.set(subject, answer);
    }
    return answer;
  }

  onChange(listener: (subjects: readonly SubjectKey[] | 'all') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether what it would get now is something else. */
  #forget(subject: SubjectKey): boolean {
    const before = this.#answers.get(subject);
    if (before === undefined) return false;
    this.#answers.delete(subject);
    const after = this.itemsFor(subject) ?? [];
    if (after.length === before.length && after.every((item, i) => item === before[i])) {
      this.#answers.set(subject, before);
      return false;
    }
    return true;
  }

  #itemOf(service: string): EncodedItem | null {
    let item = this.#encoded.get(service);
    if (item === undefined) {
      const body = this.#facts.bodyOf(service);
      item = body === null ? null : { name: service, body, hash: contentHash(body) };
      this.#encoded.set(service, item);
    }
    return item;
  }

  #tell(subjects: readonly SubjectKey[] | 'all'): void {
    for (const listener of this.#listeners) listener(subjects);
  }
}
