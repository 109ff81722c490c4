import { contentHash } from '@remora/core/hash';
import type { SubjectKey } from '@remora/core/subject';
import type { EncodedItem, StateItemSource } from '../state-items.ts';

/** A source of items that a test writes: `put('service/web', 'pin', '1')`. Subjects without a word have nothing. */
export class MemoryItems implements StateItemSource {
  readonly kind: string;
  readonly #items = new Map<SubjectKey, ReadonlyMap<string, string>>();
  readonly #encoded = new Map<SubjectKey, readonly EncodedItem[]>();
  readonly #listeners = new Set<(subjects: readonly SubjectKey[] | 'all') => void>();
  /** Nothing is known yet. */
  unknown = false;
  asked = 0;

  constructor(kind: string) {
    this.kind = kind;
  }

  put(subject: SubjectKey, name: string, text: string | null): void {
    const items = new Map(this.#items.get(subject));
    if (text === null) items.delete(name);
    else items.set(name, text);
    this.#items.set(subject, items);
    this.#encoded.set(subject, [...items].map(([each, body]) => ({ name: each, body: Buffer.from(body), hash: contentHash(body) })));
    this.tell([subject]);
  }

  know(known: boolean): void {
    this.unknown = !known;
    this.tell('all');
  }

  tell(subjects: readonly SubjectKey[] | 'all'): void {
    for (const listener of this.#listeners) listener(subjects);
  }

  itemsFor(subject: SubjectKey): readonly EncodedItem[] | null {
    this.asked++;
    return this.unknown ? null : (this.#encoded.get(subject) ?? []);
  }

  /** As a sidecar of the subject should have it, by `kind/name`. */
  expected(subject: SubjectKey): [string, string][] {
    return [...(this.#items.get(subject) ?? [])].map(([name, text]): [string, string] => [`${this.kind}/${name}`, text]).sort(([a], [b]) => (a < b ? -1 : 1));
  }

  onChange(listener: (subjects: readonly SubjectKey[] | 'all') => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
