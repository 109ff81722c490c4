import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { joinHostPort } from '../settings/build-settings.ts';
import type { HostPort } from '../settings/sidecar-settings.ts';

export interface HealthOptions {
  readonly address: HostPort;
  /** Whether the instance may get requests: configured, not draining, its app accepts connections. */
  readonly readiness: () => { readonly ready: boolean; readonly why: string };
}

/** An import of `node:http` reads all its exports, among them `WebSocket`, which loads undici: 16 MB and 40 ms. */
const { createServer } = process.getBuiltinModule('node:http');

/**
 * What probes ask that have no certificate of the mesh: `GET /healthz`, 200 or 503, and nothing else. Beside the admin interface, because it may be reached from
 * other machines: it tells a word and changes nothing.
 */
export class HealthServer {
  readonly #server: Server;

  private constructor({ readiness }: HealthOptions) {
    this.#server = createServer({ maxHeaderSize: 4_096, headersTimeout: 2_000, requestTimeout: 2_000, keepAliveTimeout: 2_000, connectionsCheckingInterval: 1_000 });
    this.#server.maxConnections = 64;
    this.#server.on('request', (request, response) => answer(request, response, readiness));
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Rejects with a sentence that names the port where it is taken. */
  static async start(options: HealthOptions): Promise<HealthServer> {
    const health = new HealthServer(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    health.#server.once('error', (error: NodeJS.ErrnoException) => {
      const what = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be bound: ${error.message}`;
      reject(new Error(`health port ${joinHostPort(options.address)} ${what}`));
    });
    health.#server.listen({ host: options.address.host, port: options.address.port }, resolve);
    await promise;
    return health;
  }

  get address(): HostPort {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }
}

function answer(request: IncomingMessage, response: ServerResponse, readiness: HealthOptions['readiness']): void {
  response.on('error', () => request.destroy());
  const [path] = (request.url ?? '').split('?', 1);
  const reads = request.method === 'GET' || request.method === 'HEAD';
  if (path !== '/healthz') return write(response, 404, 'there is GET /healthz');
  if (!reads) return write(response, 405, 'there is GET /healthz');
  const { ready, why } = readiness();
  write(response, ready ? 200 : 503, why);
}

function write(response: ServerResponse, status: number, text: string): void {
  const body = `${text}\n`;
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store' });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
