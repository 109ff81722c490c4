import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tokenPattern } from './request-generator.ts';

/** What to answer, in which pieces, and whether the connection ends then. */
export interface ScriptedAnswer {
  readonly pieces: readonly Uint8Array[];
  readonly ends: boolean;
  /** After these bytes nobody may send a request on the connection. */
  readonly spoils: boolean;
}

/** An upstream that answers with the bytes that were laid down for the token of a request. Requests have no bodies. */
export class HostileUpstream {
  readonly port: number;
  readonly scripts = new Map<string, ScriptedAnswer>();
  /** Tokens of requests that came on a connection that was spoiled before. */
  readonly reused: string[] = [];
  readonly #listener: Server;
  readonly #open = new Set<Socket>();

  private constructor(listener: Server) {
    this.#listener = listener;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', (socket) => this.#serve(socket));
  }

  static async start(): Promise<HostileUpstream> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return new HostileUpstream(listener);
  }

  #serve(socket: Socket): void {
    this.#open.add(socket);
    let text = '';
    let spoiled = false;
    socket.on('error', () => {});
    socket.once('close', () => this.#open.delete(socket));
    socket.once('end', () => socket.end());
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const token = tokenPattern.exec(text.slice(0, end))?.[1] ?? '';
        text = text.slice(end + 4);
        const script = this.scripts.get(token) ?? clean;
        if (spoiled) this.reused.push(token);
        spoiled ||= script.spoils;
        void play(socket, script);
      }
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }
}

const clean: ScriptedAnswer = { pieces: [Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')], ends: false, spoils: false };

async function play(socket: Socket, { pieces, ends }: ScriptedAnswer): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return;
    socket.write(piece);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  if (ends) socket.end();
}
