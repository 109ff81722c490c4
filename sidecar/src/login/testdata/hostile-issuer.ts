import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => void;

/** Tests only: an issuer, on a port of its own, that does at one path what no issuer should; elsewhere it is a good one. */
export class HostileIssuer {
  readonly origin: string;
  /** What the path does; null: nothing bad. */
  misbehave: Misbehaviour | null = null;
  /** The path that misbehaves. */
  at = '/token';
  /** What the good answer is, by path. */
  readonly answers = new Map<string, object>();
  /** Paths that were asked, those that a redirect pointed to included. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, origin: string) {
    this.#server = server;
    this.origin = origin;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request, response) => this.#serve(request, response));
    this.answers.set('/.well-known/openid-configuration', { issuer: origin, authorization_endpoint: `${origin}/auth`, token_endpoint: `${origin}/token` });
  }

  static async start(): Promise<HostileIssuer> {
    const server = createServer();
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new HostileIssuer(server, `http://127.0.0.1:${address.port}`);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => { this.#server.close(resolve); });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    this.asked.push(path);
    response.on('error', () => {});
    if (this.misbehave !== null && path === this.at) this.misbehave(request, response);
    else response.setHeader('content-type', 'application/json').end(JSON.stringify(this.answers.get(path) ?? {}));
  }
}

/** What issuers have been seen to do, with what is said of it. */
export const misbehaviours: readonly (readonly [string, Misbehaviour, RegExp])[] = [
  ['hangs', () => {}, /timeout/],
  ['hangs within the body', (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).write('{"id_token":'), /timeout/],
  ['drips', (_, response) => drip(response), /timeout/],
  ['redirects to itself', (_, response) => void response.writeHead(302, { location: '/elsewhere' }).end(), /redirect|302/],
  ['redirects with the request', (_, response) => void response.writeHead(307, { location: '/elsewhere' }).end(), /redirect|307/],
  ['says 50 MB and sends them', (_, response) => send(response, 50_000_000, { 'content-length': '50000000' }), /too-large/],
  ['sends 50 MB without saying so', (_, response) => send(response, 50_000_000, {}), /too-large/],
  ['sends 50 MB of JSON in one member', (_, response) => send(response, 50_000_000, {}, '{"active":true,"id_token":"'), /too-large/],
  ['compresses what nobody asked for', (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}')), /encoded/],
  ['ends too early', (_, response) => { response.writeHead(200, { 'content-length': '100' }).write('{'); response.socket?.destroySoon(); }, /broken|connect/],
  ['cuts the connection', (request) => void request.socket.destroy(), /broken|connect/],
  ['speaks no HTTP', (request) => void request.socket.end('hello\r\n\r\n'), /broken|connect/],
];

function drip(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  const timer = setInterval(() => response.write(' '), 5);
  response.on('close', () => clearInterval(timer));
}

function send(response: ServerResponse, bytes: number, headers: Readonly<Record<string, string>>, start = ''): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers });
  response.write(start);
  const piece = Buffer.alloc(65_536, 0x20);
  let left = bytes - start.length;
  const more = (): void => {
    while (left > 0 && !response.destroyed) {
      const part = left < piece.length ? piece.subarray(0, left) : piece;
      left -= part.length;
      if (!response.write(part)) return void response.once('drain', more);
    }
    if (!response.destroyed) response.end();
  };
  more();
}
