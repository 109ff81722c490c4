import { contentHash } from '@remora/core/hash';
import type { SubjectKey } from '@remora/core/subject';
import type { Planned } from '../compile/planner.ts';
import type { EncodedItem, StateItemSource } from '../push/state-items.ts';
import type { SecretBook } from './secret-book.ts';

const noItems: readonly EncodedItem[] = Object.freeze([]);

/** Values of Secrets as items of kind `secret`: each only for the subjects whose settings or listeners refer to it. */
export class SecretItems implements StateItemSource {
  readonly kind = 'secret';
  readonly #book: SecretBook;
  readonly #alarm: (error: unknown) => void;
  readonly #listeners = new Set<(subjects: readonly SubjectKey[] | 'all') => void>();
  readonly #answers = new Map<SubjectKey, readonly EncodedItem[]>();
  #planned: Planned | null = null;

  constructor({ book, alarm }: { readonly book: SecretBook; readonly alarm: (error: unknown) => void }) {
    this.#book = book;
    this.#alarm = alarm;
    book.onChange((name) => this.#tell(this.users(name)));
  }

  follow(planned: Planned): void {
    const before = this.#planned;
    this.#planned = planned;
    if (before === null) {
      for (const listener of this.#listeners) listener('all');
      return;
    }
    this.#tell([...planned.changed].filter((subject) => needKey(before, subject) !== needKey(planned, subject)));
  }

  /** Who gets it. */
  users(name: string): SubjectKey[] {
    const found: SubjectKey[] = [];
    for (const [subject, { needs }] of this.#planned?.compilation.subjects ?? []) if (needs.secrets.includes(name)) found.push(subject);
    return found;
  }

  /** Names that settings refer to, whether they are there or not, with who needs them. */
  needed(): ReadonlyMap<string, readonly SubjectKey[]> {
    const found = new Map<string, SubjectKey[]>();
    for (const [subject, { needs }] of this.#planned?.compilation.subjects ?? []) {
      for (const name of needs.secrets) {
        const users = found.get(name);
        if (users) users.push(subject);
        else found.set(name, [subject]);
      }
    }
    return found;
  }

  itemsFor(subject: SubjectKey): readonly EncodedItem[] | null {
    if (this.#planned === null) return null;
    const names = this.#planned.compilation.subjects.get(subject)?.needs.secrets ?? [];
    if (names.length === 0) return noItems;
    let answer = this.#answers.get(subject);
    if (answer !== undefined) return answer;
    try {
      answer = names.flatMap((name) => {
        const body = this.#book.valueFor(name);
        return body === null ? [] : [{ name, body, hash: contentHash(body) }];
      });
    } catch (error) {
      // What cannot be opened is held, never taken away.
      this.#alarm(error);
      return null;
    }
    this.#answers.set(subject, answer);
    return answer;
  }

  onChange(listener: (subjects: readonly SubjectKey[] | 'all') => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(subjects: readonly SubjectKey[]): void {
    for (const subject of subjects) this.#answers.delete(subject);
    if (subjects.length > 0) for (const listener of this.#listeners) listener(subjects);
  }
}

function needKey(planned: Planned, subject: SubjectKey): string {
  return planned.compilation.subjects.get(subject)?.needs.secrets.join('\n') ?? '';
}
