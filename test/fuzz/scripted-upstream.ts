import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** An upstream that says bytes which were laid down, in segments of their own. What it reads of requests is up to `serve`. */
export class ScriptedUpstream {
  readonly port: number;
  readonly #listener: Server;
  readonly #open = new Set<Socket>();

  private constructor(listener: Server, serve: (socket: Socket) => void) {
    this.#listener = listener;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', (socket) => {
      this.#open.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.#open.delete(socket));
      serve(socket);
    });
  }

  static async start(serve: (socket: Socket) => void): Promise<ScriptedUpstream> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return new ScriptedUpstream(listener, serve);
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }
}

/** A turn of the event loop lies between two pieces. */
export async function play(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return;
    socket.write(piece);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
}
