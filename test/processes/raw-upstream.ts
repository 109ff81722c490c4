import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What an upstream does with a connection; called for each, in order. */
export type Behaviour = (socket: Socket, nth: number) => void;

/** An upstream that does on purpose what upstreams should not. */
export class RawUpstream {
  readonly port: number;
  /** Connections accepted so far. */
  accepted = 0;
  /** All bytes that came, as text. */
  received = '';
  behave: Behaviour;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(server: Server, behave: Behaviour) {
    this.#server = server;
    this.behave = behave;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async start(behave: Behaviour): Promise<RawUpstream> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RawUpstream(server, behave);
  }

  get open(): number {
    return this.#open.size;
  }

  #accept(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#open.delete(socket));
    socket.once('end', () => socket.end());
    socket.on('data', (bytes: Buffer) => { this.received += bytes.toString('latin1'); });
    this.behave(socket, this.accepted++);
  }

  /** Requests that have arrived whole so far: heads, for requests without a body. */
  get heads(): number {
    return this.received.split('\r\n\r\n').length - 1;
  }

  /** Ends every connection. */
  drop(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async close(): Promise<void> {
    this.drop();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Does `answer` once the head of a request is there; again for each further request of the connection. */
export function onHead(answer: (socket: Socket, head: string, nth: number) => void): Behaviour {
  return (socket) => {
    let text = '';
    let nth = 0;
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end + 4);
        text = text.slice(end + 4);
        answer(socket, head, nth++);
      }
    });
  };
}

export const okAnswer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
