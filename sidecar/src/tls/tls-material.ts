/**
 * What TLS needs from the files of this host and must be the same in all data threads: read, checked and renewed by the control thread,
 * handed to the data threads whole. Never logged, described or written anywhere.
 */
export interface TlsMaterial {
  /** PEM text by path. A file that could not be read is missing. */
  readonly files: ReadonlyMap<string, string>;
  /** What the keys of session tickets are derived from, 32 bytes; another one after each rotation. */
  readonly ticketSecret: Uint8Array;
}

/** The material of one data thread. */
export class TlsMaterialStore {
  #current: TlsMaterial = { files: new Map(), ticketSecret: new Uint8Array(32) };
  /** Changes with the material. */
  version = 0;

  get current(): TlsMaterial {
    return this.#current;
  }

  use(material: TlsMaterial): void {
    this.#current = material;
    this.version++;
  }
}
