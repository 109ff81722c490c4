/**
 * Connections to upstreams that a data thread may have beside those of its clients: what the descriptors allow both together. Beyond it calls wait for a connection of
 * their pool, and where that has none they fail at once (`upstream-overflow`): what Remora needs itself must never run out.
 */
export class UpstreamRoom {
  open = 0;
  readonly #max: number;
  readonly #clients: () => number;
  readonly #closeIdle: () => boolean;

  /** `clients`: connections of clients now. `closeIdle`: closes an idle connection to some upstream; false: there is none. */
  constructor({ max, clients, closeIdle }: { readonly max: number; readonly clients: () => number; readonly closeIdle: () => boolean }) {
    this.#max = max;
    this.#clients = clients;
    this.#closeIdle = closeIdle;
  }

  /** Whether one more may be opened; idle ones give way to it. */
  takes(): boolean {
    return this.open + this.#clients() < this.#max || this.#closeIdle();
  }
}

/** For pools that nothing bounds together. */
export function boundlessRoom(): UpstreamRoom {
  return new UpstreamRoom({ max: Number.POSITIVE_INFINITY, clients: () => 0, closeIdle: () => false });
}
