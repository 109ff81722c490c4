import http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import type { Endpoint } from '@remora/proto/gen/remora/snapshot/v1/snapshot';
import type { TestProtocol } from './exchange-client.ts';

export type ServerRequest = http.IncomingMessage | http2.Http2ServerRequest;
export type ServerResponse = http.ServerResponse | http2.Http2ServerResponse;
export type Handle = (request: ServerRequest, response: ServerResponse, nth: number) => unknown;

/** Tests only: an upstream of either protocol with one handler for both (Node's compatible interface). */
export class ExchangeServer {
  readonly protocol: TestProtocol;
  requests = 0;
  connections = 0;
  port = 0;
  readonly #server: http.Server | http2.Http2Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #sessions = new Set<http2.ServerHttp2Session>();

  private constructor(protocol: TestProtocol, handle: Handle, settings: http2.Settings) {
    this.protocol = protocol;
    const listener = (request: ServerRequest, response: ServerResponse): void => {
      request.on('error', () => {});
      (response as http.ServerResponse).on('error', () => {});
      handle(request, response, ++this.requests);
    };
    this.#server = protocol === 'http1' ? http.createServer(listener) : http2.createServer({ settings }, listener);
    const server = this.#server as http.Server;
    server.on('checkContinue', listener);
    server.on('connection', (socket: net.Socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
    if (protocol === 'http2') {
      (this.#server as http2.Http2Server).on('session', (session) => {
        this.#sessions.add(session);
        session.on('close', () => this.#sessions.delete(session));
        session.on('error', () => {});
      });
    }
  }

  static async start(protocol: TestProtocol, handle: Handle, settings: http2.Settings = {}): Promise<ExchangeServer> {
    const started = new ExchangeServer(protocol, handle, settings);
    await new Promise<void>((resolve) => {
      started.#server.listen(0, '127.0.0.1', resolve);
    });
    started.port = (started.#server.address() as net.AddressInfo).port;
    return started;
  }

  get endpoint(): Partial<Endpoint> {
    return endpointOf(this.protocol, this.port);
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  /** HTTP/2: GOAWAY on every connection, streams under way go on. */
  goAway(): void {
    for (const session of this.#sessions) session.close();
  }

  get sessions(): ReadonlySet<http2.ServerHttp2Session> {
    return this.#sessions;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

export function endpointOf(protocol: TestProtocol, port: number): Partial<Endpoint> {
  return {
    id: `static/127.0.0.1:${port}`, weight: 1,
    ports: [{ name: 'http', host: '127.0.0.1', port, protocols: protocol === 'http2' ? ['h2c'] : [] }],
  };
}

/** The whole body of a request; rejects where it is broken off. */
export function readBody(request: ServerRequest): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('aborted', () => reject(new Error('the request was broken off')));
    request.on('error', reject);
  });
}
