import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TappedConnection } from './tap.ts';

/**
 * Lets a client of HTTP/1.1 upgrades speak WebSocket over HTTP/2 (RFC 8441): an extended CONNECT by Node's own HTTP/2 client for each
 * upgrade, and the bytes as they are. One connection carries all.
 */
export class Http2Bridge {
  readonly port: number;
  readonly connections: TappedConnection[] = [];
  readonly #server: Server;
  readonly #session: ClientHttp2Session;

  private constructor(server: Server, session: ClientHttp2Session) {
    this.#server = server;
    this.#session = session;
    this.port = (server.address() as AddressInfo).port;
    server.on('upgrade', (request, socket, head) => this.#bridge(request, socket, head));
  }

  static async start(port: number): Promise<Http2Bridge> {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on('error', () => {});
    const [settings] = await once(session, 'remoteSettings') as [{ readonly enableConnectProtocol?: boolean }];
    if (settings.enableConnectProtocol !== true) throw new Error('the gateway does not offer extended CONNECT');
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Http2Bridge(server, session);
  }

  #bridge(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { connection: _c, upgrade: _u, host: _h, 'sec-websocket-key': key = '', ...headers } = request.headers;
    const stream = this.#session.request({ ...headers, ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': request.url ?? '/', ':authority': 'app' });
    // Handshakes as the other taps see them, so that bytes can be compared behind them.
    const seen: TappedConnection = { toServer: `GET ${request.url} HTTP/1.1\r\n\r\n`, toClient: 'HTTP/1.1 101\r\n\r\n', clientEnded: false, serverEnded: false };
    this.connections.push(seen);
    socket.on('error', () => stream.close(cancel));
    stream.on('error', () => socket.destroy());
    stream.once('response', (answer) => {
      if (answer[':status'] !== 200) {
        socket.end(`HTTP/1.1 ${answer[':status']} Refused\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      const agreed = (['sec-websocket-protocol', 'sec-websocket-extensions'] as const).flatMap((name) => (typeof answer[name] === 'string' ? [`${name}: ${answer[name]}\r\n`] : [])).join('');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${agreed}\r\n`);
      this.#relay(socket, stream, seen, head);
    });
  }

  #relay(socket: Duplex, stream: ClientHttp2Stream, seen: TappedConnection, head: Buffer): void {
    const up = (bytes: Buffer): void => { seen.toServer += bytes.toString('latin1'); if (!stream.write(bytes)) socket.pause(); };
    if (head.length > 0) up(head);
    socket.on('data', up);
    stream.on('data', (bytes: Buffer) => { seen.toClient += bytes.toString('latin1'); if (!socket.write(bytes)) stream.pause(); });
    stream.on('drain', () => socket.resume());
    socket.on('drain', () => stream.resume());
    socket.once('end', () => { seen.clientEnded = true; stream.end(); });
    stream.once('end', () => { seen.serverEnded = true; socket.end(); });
    socket.once('close', () => { seen.clientEnded = true; if (!stream.closed) stream.close(cancel); });
    stream.once('close', () => { seen.serverEnded = true; socket.destroy(); });
  }

  close(): void {
    this.#server.close();
    this.#session.destroy();
  }
}

const cancel = 8;
