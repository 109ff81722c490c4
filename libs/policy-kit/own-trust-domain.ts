import type { FactBook } from './facts.ts';

/**
 * Trust domain of this sidecar's own certificate, from the facts of kind `identity`; '' where it has none. Names of services without a trust domain are
 * those of the own one: a service of the same name elsewhere is somebody else.
 */
export class OwnTrustDomain {
  readonly #book: FactBook;
  #seen = -1;
  #domain = '';

  constructor(book: FactBook) {
    this.#book = book;
  }

  get(): string {
    if (this.#book.version !== this.#seen) {
      this.#seen = this.#book.version;
      this.#domain = readDomain(this.#book.get('own'));
    }
    return this.#domain;
  }

  /** Changes when the answer may have. */
  get version(): number {
    return this.#book.version;
  }
}

function readDomain(body: Uint8Array | undefined): string {
  if (body === undefined) return '';
  try {
    const { trustDomain } = JSON.parse(new TextDecoder().decode(body)) as { trustDomain?: unknown };
    return typeof trustDomain === 'string' ? trustDomain : '';
  } catch {
    return '';
  }
}
