import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';

/** What passed on one connection, each way. Latin-1, handshakes included. */
export interface TappedConnection {
  toServer: string;
  toClient: string;
  /** The client's side ended its connection, the server's did. */
  clientEnded: boolean;
  serverEnded: boolean;
}

/** A relay that looks at bytes and changes nothing. */
export class Tap {
  readonly port: number;
  readonly connections: TappedConnection[] = [];
  readonly #server: Server;

  private constructor(server: Server, target: () => number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => {
      const seen: TappedConnection = { toServer: '', toClient: '', clientEnded: false, serverEnded: false };
      this.connections.push(seen);
      const upstream = connect({ port: target(), host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      client.on('data', (bytes: Buffer) => { seen.toServer += bytes.toString('latin1'); if (!upstream.write(bytes)) client.pause(); });
      upstream.on('data', (bytes: Buffer) => { seen.toClient += bytes.toString('latin1'); if (!client.write(bytes)) upstream.pause(); });
      client.on('drain', () => upstream.resume());
      upstream.on('drain', () => client.resume());
      client.once('end', () => { seen.clientEnded = true; upstream.end(); });
      upstream.once('end', () => { seen.serverEnded = true; client.end(); });
      client.on('error', () => upstream.destroy());
      upstream.on('error', () => client.destroy());
      client.once('close', () => { seen.clientEnded = true; upstream.destroy(); });
      upstream.once('close', () => { seen.serverEnded = true; client.destroy(); });
    });
  }

  static async start(target: () => number): Promise<Tap> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Tap(server, target);
  }

  close(): void {
    this.#server.close();
  }
}

/** What passed behind the head of the handshake; '' where there was none. */
export function behindHead(text: string): string {
  const end = text.indexOf('\r\n\r\n');
  return end < 0 ? '' : text.slice(end + 4);
}
