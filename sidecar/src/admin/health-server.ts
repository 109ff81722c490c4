import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HostPort } from '../settings/sidecar-settings.ts';
import { ListeningServer } from './listening-server.ts';

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
export function startHealthServer({ address, readiness }: HealthOptions): Promise<ListeningServer> {
  const server = createServer({ maxHeaderSize: 4_096, headersTimeout: 2_000, requestTimeout: 2_000, keepAliveTimeout: 2_000, connectionsCheckingInterval: 1_000 });
  server.maxConnections = 64;
  server.on('request', (request, response) => answer(request, response, readiness));
  server.on('clientError', (_error, socket) => socket.destroy());
  return ListeningServer.start('health port', server, address);
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
