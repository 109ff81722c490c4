import type { Socket } from 'node:net';
import type { Listening, Transport } from './transport.ts';

/** An upstream that says bytes which were laid down, in segments of their own. What it reads of requests is up to `serve`. */
export class ScriptedUpstream {
  #listening!: Listening;
  readonly #open = new Set<Socket>();

  static async start(transport: Transport, serve: (socket: Socket) => void): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream();
    upstream.#listening = await transport.listen((socket) => {
      upstream.#open.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => upstream.#open.delete(socket));
      serve(socket);
    });
    return upstream;
  }

  get port(): number {
    return this.#listening.port;
  }

  close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    return this.#listening.close();
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
