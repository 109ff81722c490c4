import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  readonly bodyBytes: number;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** An app that keeps what reached it: requests that came whole, those that broke off, and what it could not read at all. */
export class RecordingApp {
  readonly port: number;
  readonly complete: SeenRequest[] = [];
  /** Heads that came, complete or not. */
  readonly begun: string[] = [];
  /** Requests whose body broke off. */
  aborted = 0;
  /** Connections on which something came that is not HTTP. */
  readonly unreadable: string[] = [];
  /** Answers instead of `ok`. */
  handle: Handler | null = null;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('request', (request, response) => this.#serve(request, response));
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // A body that broke off is counted as aborted.
      if (error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE') this.unreadable.push(error.code);
      socket.destroy();
    });
  }

  static async start(): Promise<RecordingApp> {
    const server = createServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 120_000, requestTimeout: 0 });
    server.maxHeadersCount = 2000;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RecordingApp(server);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers, rawHeaders } = request;
    this.begun.push(`${method} ${url}`);
    let bodyBytes = 0;
    request.on('data', (bytes: Buffer) => { bodyBytes += bytes.length; });
    request.on('error', () => {});
    request.once('close', () => {
      if (!request.complete) this.aborted++;
    });
    response.on('error', () => {});
    request.once('end', () => {
      this.complete.push({ method, url, headers, rawHeaders, bodyBytes });
      if (this.handle === null) response.end(`ok ${url}`);
      else this.handle(request, response);
    });
  }

  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
