import type { PeerFacts } from '@remora/identity/node-identity';
import { ControlMessage, SidecarMessage } from '@remora/proto/gen/remora/push/v1/push';
import type { SidecarStream, SidecarStreamHandler, StreamError } from './sidecar-stream.ts';

/** The sidecar's end of an in-memory Sync stream. */
export interface MemoryClient {
  send(message: SidecarMessage): void;
  /** A reader that stands still: what is sent to it stays buffered. */
  pause(): void;
  resume(): void;
  /** The connection breaks, as seen from both ends. */
  break(): void;
}

export interface MemoryClientHandler {
  message(message: ControlMessage): void;
  ended(error: StreamError | null): void;
}

/**
 * A Sync stream without a network, for tests and the simulator. Messages pass through their encoding, one per turn, in
 * order; `soon` decides when a turn is.
 */
export function connectInMemory(deps: {
  readonly accept: (stream: SidecarStream) => SidecarStreamHandler;
  readonly client: MemoryClientHandler;
  readonly soon: (run: () => void) => void;
  readonly peer?: PeerFacts;
}): MemoryClient {
  return new MemoryLink(deps);
}

class MemoryLink implements SidecarStream, MemoryClient {
  readonly peer: PeerFacts;
  bufferedBytes = 0;
  readonly #soon: (run: () => void) => void;
  readonly #client: MemoryClientHandler;
  readonly #handler: SidecarStreamHandler;
  #queue: Uint8Array[] = [];
  #paused = false;
  #ending: { readonly error: StreamError | null } | null = null;
  #over = false;

  constructor(deps: Parameters<typeof connectInMemory>[0]) {
    this.peer = deps.peer ?? { address: 'memory', certificates: [] };
    this.#soon = deps.soon;
    this.#client = deps.client;
    this.#handler = deps.accept(this);
  }

  send(message: Uint8Array | SidecarMessage): void {
    if (this.#over || this.#ending) return;
    if (message instanceof Uint8Array) {
      this.#queue.push(message);
      this.bufferedBytes += message.length;
      this.#soon(() => this.#deliver());
    } else {
      const bytes = SidecarMessage.encode(message).finish();
      this.#soon(() => {
        if (!this.#over) this.#handler.message(SidecarMessage.decode(bytes));
      });
    }
  }

  end(error?: StreamError): void {
    this.#ending ??= { error: error ?? null };
    this.#soon(() => this.#deliver());
  }

  destroy(): void {
    this.#finish(null);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#soon(() => this.#deliver());
  }

  break(): void {
    this.#finish(null);
  }

  #deliver(): void {
    if (this.#over || this.#paused) return;
    const bytes = this.#queue.shift();
    if (bytes) {
      this.bufferedBytes -= bytes.length;
      this.#client.message(ControlMessage.decode(bytes));
      this.#handler.drained();
      this.#soon(() => this.#deliver());
    } else if (this.#ending) {
      this.#finish(this.#ending.error);
    }
  }

  #finish(error: StreamError | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#queue = [];
    this.#soon(() => {
      this.#handler.closed('ended');
      this.#client.ended(error);
    });
  }
}
