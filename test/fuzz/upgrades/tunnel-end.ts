import type { Http2Stream } from 'node:http2';
import type { Socket } from 'node:net';

/** One end of a tunnel: a socket behind its switch, or a stream of HTTP/2. */
export class TunnelEnd {
  /** `end`: the other side ended its direction. `reset`: it broke off. */
  state: 'open' | 'end' | 'reset';
  readonly #stream: Socket | Http2Stream;
  readonly #received: Buffer[] = [];
  #waiting: (() => void)[] = [];

  /** `first`: what came with the head; `state`: what is known already. */
  constructor(stream: Socket | Http2Stream, first: Buffer, state: 'open' | 'end' | 'reset' = 'open') {
    this.state = state;
    this.#stream = stream;
    if (first.length > 0) this.#received.push(first);
    stream.on('data', (bytes: Buffer) => {
      this.#received.push(bytes);
      this.#wake();
    });
    stream.on('end', () => this.#become('end'));
    stream.on('error', () => this.#become('reset'));
    stream.on('aborted', () => this.#become('reset'));
    // Node tells the end of a stream before it tells that it was reset.
    stream.on('close', () => this.#become('reset', (stream as Partial<Http2Stream>).rstCode !== undefined && (stream as Http2Stream).rstCode !== 0));
  }

  #become(state: 'end' | 'reset', certain = false): void {
    if (this.state === 'open' || certain) this.state = state;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** A turn of the event loop lies between two pieces. */
  async send(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      if (!this.#stream.writable) return;
      this.#stream.write(piece);
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }

  end(): void {
    if (this.#stream.writable) this.#stream.end();
  }

  reset(): void {
    if ('resetAndDestroy' in this.#stream) this.#stream.resetAndDestroy();
    // `close` would end our side first.
    else this.#stream.destroy(new Error('broken off'));
  }

  /** Rejects after the deadline. */
  async until(what: string, condition: () => boolean, deadlineMs: number): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!condition()) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`${what}: not so within ${deadlineMs} ms; ${this.state}, ${this.received.length} bytes came`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, left);
      this.#waiting.push(resolve);
      await promise;
      clearTimeout(timer);
    }
  }
}
