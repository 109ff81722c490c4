import type { FactBook } from './facts.ts';

/** Facts of this kind say how many instances of the own service or gateway are live; items of the state lane of the same kind. */
export const instancesFactKind = 'instances';
export const instanceCountName = 'own';
const countMax = 100_000;

/** Among how many instances a limit is divided: as many as are live. As long as nobody said it, one. What was said last holds when nobody says more. */
export class InstanceShare {
  readonly #book: FactBook;
  #seen = 0;
  #count = 1;

  constructor(book: FactBook) {
    this.#book = book;
  }

  /** At least 1. Cheap: asked at each request. */
  get count(): number {
    if (this.#book.version !== this.#seen) {
      this.#seen = this.#book.version;
      this.#count = decodeInstanceCount(this.#book.get(instanceCountName)) ?? this.#count;
    }
    return this.#count;
  }
}

export function encodeInstanceCount(count: number): Uint8Array {
  return Buffer.from(JSON.stringify({ count: Math.min(count, countMax) }));
}

/** Null: it says nothing that can be used. */
export function decodeInstanceCount(body: Uint8Array | undefined): number | null {
  if (body === undefined) return null;
  try {
    const { count } = JSON.parse(Buffer.from(body).toString()) as { count?: unknown };
    return typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= countMax ? count : null;
  } catch {
    return null;
  }
}
