import type { SubjectKey } from '@remora/core/subject';
import type { EncodedItem, StateItemSource } from './state-items.ts';

/** The items of one subject by `kind/name`, in order; null under `kind/`: nothing is known of that kind. */
export type ItemSet = ReadonlyMap<string, EncodedItem | null>;

export const noItems: ItemSet = new Map();

/** Items of one subject at most, and their bytes together; the rest of what a source says is left out and counted. As many as a sidecar keeps. */
export const itemsMax = 4_096;
export const itemBytesMax = 32 * 1024 * 1024;
const bodyBytesMax = 256 * 1024;

/**
 * What all sources say of each subject, made when somebody asks and kept until something changed. The only place where items get to subjects: a sidecar's are
 * those of the subject it was admitted as.
 */
export class SubjectItems {
  readonly #sources: readonly StateItemSource[];
  readonly #known = new Map<SubjectKey, ItemSet>();
  readonly #stops: readonly (() => void)[];
  readonly #leftOut: () => void;

  /** `changed` is told after each change, of which subjects; `leftOut` of each item that did not fit, or that no sidecar would take. */
  constructor(sources: readonly StateItemSource[], { changed, leftOut }: { readonly changed: (subjects: readonly SubjectKey[] | 'all') => void; readonly leftOut: () => void }) {
    this.#leftOut = leftOut;
    this.#sources = [...sources].sort((a, b) => (a.kind < b.kind ? -1 : 1));
    this.#stops = sources.map((source) => source.onChange((subjects) => {
      if (subjects === 'all') this.#known.clear();
      else for (const subject of subjects) this.#known.delete(subject);
      changed(subjects);
    }));
  }

  /** The same object for as long as nothing changed. */
  of(subject: SubjectKey): ItemSet {
    if (this.#sources.length === 0) return noItems;
    let items = this.#known.get(subject);
    if (!items) this.#known.set(subject, items = this.#read(subject));
    return items;
  }

  /** Nobody of this subject is connected any more. */
  forget(subject: SubjectKey): void {
    this.#known.delete(subject);
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  #read(subject: SubjectKey): ItemSet {
    const items = new Map<string, EncodedItem | null>();
    let bytes = 0;
    for (const source of this.#sources) {
      const { kind } = source;
      const known = source.itemsFor(subject);
      if (known === null) items.set(`${kind}/`, null);
      for (const item of [...(known ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1))) {
        if (item.name === '' || item.name.includes('/') || item.body.length > bodyBytesMax || items.size >= itemsMax || bytes + item.body.length > itemBytesMax) {
          this.#leftOut();
          continue;
        }
        bytes += item.body.length;
        items.set(`${kind}/${item.name}`, item);
      }
    }
    return items.size === 0 ? noItems : items;
  }
}

export function itemKind(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
