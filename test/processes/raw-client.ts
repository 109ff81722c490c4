import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A TCP connection to a program under test: bytes in, bytes out, nothing interpreted. */
export class RawClient {
  readonly socket: Socket;
  /** The other side ended the connection, in an orderly way or not. */
  readonly closed: Promise<'end' | 'reset'>;
  #received: Buffer[] = [];
  #length = 0;
  #ended: 'end' | 'reset' | null = null;
  #waiters: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#received.push(bytes);
      this.#length += bytes.length;
      this.#wake();
    });
    const { promise, resolve } = Promise.withResolvers<'end' | 'reset'>();
    this.closed = promise;
    const finish = (how: 'end' | 'reset'): void => {
      this.#ended ??= how;
      this.#wake();
      resolve(how);
    };
    socket.once('end', () => finish('end'));
    socket.on('error', () => finish('reset'));
    socket.once('close', (failed: boolean) => finish(failed ? 'reset' : 'end'));
  }

  static async open(port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket = connect({ port, host, noDelay: true, allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** On a connection that is open. */
  static over(socket: Socket): RawClient {
    return new RawClient(socket);
  }

  get bytesReceived(): number {
    return this.#length;
  }

  get text(): string {
    if (this.#received.length > 1) this.#received = [Buffer.concat(this.#received)];
    return this.#received[0]?.toString('latin1') ?? '';
  }

  /** Whether the last bytes are these. */
  endsWith(text: string): boolean {
    const last = this.#received.at(-1);
    return last !== undefined && last.length >= text.length && last.toString('latin1', last.length - text.length) === text;
  }

  get ended(): 'end' | 'reset' | null {
    return this.#ended;
  }

  /** Status of the first final answer; 0 where there is none. */
  get status(): number {
    for (const [, status] of this.text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)) if (Number(status) >= 200) return Number(status);
    return 0;
  }

  write(bytes: string | Uint8Array): void {
    if (this.socket.writable) this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Each piece in a segment of its own, as far as the system lets us: a turn of the event loop lies between two. */
  async writePieces(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      if (this.#ended !== null) return;
      this.write(piece);
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }

  /** Resolves when the condition holds or the other side has closed; rejects after the deadline. */
  async until(what: string, condition: (client: this) => boolean, deadlineMs = 30_000): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!condition(this) && this.#ended === null) {
      const left = end - performance.now();
      if (left <= 0) throw new Error(`${what}: not so within ${deadlineMs} ms; ${this.#length} bytes came: ${JSON.stringify(this.text.slice(0, 600))}`);
      await this.#next(left);
    }
  }

  /** Resolves when the other side has closed; rejects after the deadline. */
  async untilClosed(deadlineMs = 30_000): Promise<'end' | 'reset'> {
    await this.until('the connection is closed', () => false, deadlineMs);
    return this.#ended ?? 'end';
  }

  destroy(): void {
    this.socket.destroy();
  }

  async #next(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#waiters.push(resolve);
    await promise;
    clearTimeout(timer);
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

/** Cuts bytes at the given places. */
export function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(places)].filter((at) => at > 0 && at < bytes.length).sort((a, b) => a - b);
  return [0, ...sorted].map((at, i) => bytes.subarray(at, sorted[i] ?? bytes.length));
}
