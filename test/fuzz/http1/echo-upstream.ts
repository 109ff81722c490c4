import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Listening, Transport } from '../transport.ts';
import { pairUp, type ReadRequest } from '../witness/account.ts';
import type { CapturedStream } from '../witness/jury.ts';
import { TappedSocket } from '../witness/tapped-socket.ts';
import { tokenPattern } from './request-generator.ts';

/** A request that reached the upstream. */
export interface SeenRequest extends ReadRequest {
  readonly token: string;
}

/** Answers each request by its token alone, so that a client knows what to expect, and keeps all that came, as bytes and as Node reads it. */
export class EchoUpstream {
  /** Whole requests by the first half of their tokens. */
  readonly complete = new Map<string, SeenRequest[]>();
  /** Heads that came, whether the rest did or not: tokens by their first half. */
  readonly begun = new Map<string, string[]>();
  /** Of connections that have ended. */
  readonly streams: CapturedStream[] = [];
  #listening!: Listening;
  readonly #http: HttpServer;
  readonly #progress = new WeakMap<object, { begun: number; complete: number; broken: boolean }>();
  readonly #open = new Set<TappedSocket>();

  private constructor(http: HttpServer) {
    this.#http = http;
    http.maxHeadersCount = 5000;
    http.on('request', (request, response) => this.#serve(request, response));
    http.on('checkExpectation', (request, response) => this.#serve(request, response));
    http.on('clientError', (_, socket) => {
      const progress = this.#progress.get(socket);
      if (progress) progress.broken = true;
      socket.destroy();
    });
  }

  static async start(transport: Transport): Promise<EchoUpstream> {
    const upstream = new EchoUpstream(createHttpServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, connectionsCheckingInterval: 1 << 30 }));
    upstream.#listening = await transport.listen((socket) => upstream.#take(socket));
    return upstream;
  }

  get port(): number {
    return this.#listening.port;
  }

  #take(socket: Socket): void {
    const tapped = new TappedSocket(socket);
    const progress = { begun: 0, complete: 0, broken: false };
    this.#progress.set(tapped, progress);
    this.#open.add(tapped);
    tapped.once('close', () => {
      this.#open.delete(tapped);
      if (tapped.received.length > 0) this.streams.push({ bytes: Buffer.concat(tapped.received), clean: progress.begun === progress.complete && !progress.broken });
    });
    this.#http.emit('connection', tapped);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const token = tokenPattern.exec(request.url ?? '')?.[1] ?? '';
    const progress = this.#progress.get(request.socket);
    if (progress) progress.begun++;
    listIn(this.begun, token).push(token);
    const chunks: Buffer[] = [];
    request.on('data', (bytes: Buffer) => chunks.push(bytes)).on('error', () => {});
    response.on('error', () => {});
    request.once('end', () => {
      if (progress) progress.complete++;
      const body = Buffer.concat(chunks).toString('latin1');
      listIn(this.complete, token).push({ token, method: request.method ?? '', target: request.url ?? '', headers: pairUp(request.rawHeaders), body, trailers: pairUp(request.rawTrailers) });
      answer(response, token, body, { last: (progress?.complete ?? 0) >= requestsMax, head: request.method === 'HEAD' });
    });
  }

  /** Forgets what is known of a client. */
  forget(prefix: string): void {
    this.complete.delete(prefix);
    this.begun.delete(prefix);
  }

  /** Ends idle connections; resolves when their streams are there. */
  async drop(): Promise<void> {
    await Promise.all([...this.#open].map((tapped) => {
      tapped.destroy();
      return once(tapped, 'close');
    }));
  }

  async close(): Promise<void> {
    await this.drop();
    await this.#listening.close();
    this.#http.close();
  }
}

function listIn<T>(map: Map<string, T[]>, token: string): T[] {
  const key = token.slice(0, 8);
  let list = map.get(key);
  if (list === undefined) map.set(key, list = []);
  return list;
}

/** What the body of the answer to this token is; null: 204. */
export function echoBody(token: string): string | null {
  switch (shapeOf(token)) {
    case 0:
      return null;
    case 1:
      return '';
    case 2:
      return token.repeat(1500);
    default:
      return `answer to ${token}`;
  }
}

/** The same for every token: any of the shapes that an answer may have. */
function shapeOf(token: string): number {
  return token === '' ? 3 : Number.parseInt(token.slice(-2), 16) % 6;
}

export function digest(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex').slice(0, 12);
}

/** A connection serves so many requests: streams of a size that witnesses read in one go. */
const requestsMax = 25;

function answer(response: ServerResponse, token: string, body: string, { last, head }: { readonly last: boolean; readonly head: boolean }): void {
  response.setHeader('X-Token', token);
  response.setHeader('X-Read', digest(body));
  response.setHeader('X-Twice', ['a', 'b']);
  if (last) response.setHeader('Connection', 'close');
  const content = echoBody(token);
  if (content === null) {
    response.writeHead(204).end();
    return;
  }
  if (shapeOf(token) < 4) response.setHeader('Content-Length', content.length);
  else if (shapeOf(token) === 5 && !head) response.setHeader('Trailer', 'X-Sum');
  response.writeHead(200);
  response.write(content.slice(0, 5));
  if (shapeOf(token) === 5 && !head) response.addTrailers({ 'X-Sum': token });
  response.end(content.slice(5));
}
