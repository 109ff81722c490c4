import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { RequestQuestion } from '../threads/data-plane.ts';
import { isLoopback } from '../settings/build-settings.ts';
import type { HostPort } from '../settings/sidecar-settings.ts';
import { itemsMax, type Inspection } from './inspection.ts';
import { ListeningServer } from './listening-server.ts';
import { questionFromJson, questionFromQuery, type QuestionResult } from './request-question.ts';

export interface AdminOptions {
  readonly address: HostPort;
  /** Answers to names that are not loopback are given only then. */
  readonly allowRemote: boolean;
  readonly inspection: Inspection;
  /** Text in Prometheus' format. */
  readonly metrics: () => Promise<string>;
  readonly defaultSide: RequestQuestion['side'];
  /** Starts to stop; answers at once. */
  readonly drain: () => void;
}

interface Answer {
  readonly status: number;
  /** Text is sent as it is. */
  readonly body: object | string;
  readonly type?: string;
}

type Handler = (request: { readonly url: URL; readonly body: string }) => Answer | Promise<Answer>;

const bodyBytesMax = 65_536;

/** An import of `node:http` reads all its exports, among them `WebSocket`, which loads undici: 16 MB and 40 ms. */
const { createServer } = process.getBuiltinModule('node:http');

/** The admin interface: small, on loopback, apart from the data path. Every list in an answer is bounded. */
export async function startAdminServer(options: AdminOptions): Promise<ListeningServer> {
  if (!options.allowRemote && !isLoopback(options.address.host)) throw new Error(`the admin interface binds loopback only, not ${options.address.host}`);
  const answers = new AdminAnswers(options);
  const server = createServer({ maxHeaderSize: 16_384, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000, connectionsCheckingInterval: 1_000 });
  server.maxConnections = 64;
  server.on('request', (request, response) => void answers.serve(request, response));
  server.on('clientError', refuseBytes);
  return ListeningServer.start('admin port', server, options.address);
}

class AdminAnswers {
  readonly #allowRemote: boolean;
  readonly #routes: ReadonlyMap<string, Handler>;

  constructor(options: AdminOptions) {
    this.#allowRemote = options.allowRemote;
    this.#routes = new Map(Object.entries(routesOf(options)));
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => request.destroy());
    try {
      write(response, request.method === 'HEAD', await this.#answer(request));
    } catch (error) {
      write(response, false, problem(500, 'internal', error instanceof Error ? error.message : String(error)));
    }
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const foreign = this.#foreign(request);
    if (foreign) return foreign;
    const url = URL.canParse(request.url ?? '', 'http://admin') ? new URL(request.url ?? '', 'http://admin') : null;
    if (!url) return problem(400, 'bad-request', 'the path cannot be read');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const [, head = '', ...rest] = url.pathname.split('/');
    const name = rest.length > 0 && head === 'why' ? '/why' : url.pathname;
    const handler = this.#routes.get(`${method} ${name}`);
    if (handler) {
      const body = await readBody(request);
      return body === null ? problem(413, 'too-large', `the body has more than ${bodyBytesMax} bytes`) : await handler({ url, body });
    }
    const other = [...this.#routes.keys()].filter((key) => key.endsWith(` ${name}`));
    if (other.length > 0) return problem(405, 'method-not-allowed', `${name} answers ${other.map((key) => key.split(' ')[0]).join(', ')}`);
    return problem(404, 'not-found', `there is ${[...this.#routes.keys()].join(', ')}`);
  }

  /** A page in a browser must not read or drain a sidecar: by a name that points to loopback, or by a form. */
  #foreign(request: IncomingMessage): Answer | null {
    if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] === 'cross-site') {
      return problem(403, 'cross-origin', 'the admin interface does not answer pages in a browser');
    }
    const host = (request.headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
    if (this.#allowRemote || host === '' || isLoopback(host)) return null;
    return problem(421, 'unknown-host', `the admin interface is asked as ${host.slice(0, 253)}; it answers to 127.0.0.1 and localhost`);
  }
}

function routesOf({ inspection, metrics, defaultSide, drain }: AdminOptions): Record<string, Handler> {
  const route = async (result: QuestionResult): Promise<Answer> => {
    if (!result.ok) return problem(400, 'bad-question', result.problems.join('; '));
    return { status: 200, body: await inspection.route(result.question) };
  };
  const found = (body: object | null): Answer => (body ? { status: 200, body } : problem(404, 'no-configuration', 'there is no configuration yet'));
  return {
    'GET /live': () => ({ status: 200, body: { live: true } }),
    'GET /ready': () => {
      const readiness = inspection.readiness();
      return { status: readiness.ready ? 200 : 503, body: readiness };
    },
    'GET /metrics': async () => ({ status: 200, body: await metrics(), type: 'text/plain; version=0.0.4; charset=utf-8' }),
    'GET /status': () => ({ status: 200, body: inspection.status() }),
    'GET /snapshot': () => found(inspection.snapshot()),
    'GET /snapshot/resources': ({ url }) => found(inspection.resources(url.searchParams.get('after') ?? '', limitOf(url))),
    'GET /state': async () => ({ status: 200, body: await inspection.state() }),
    'GET /troubles': ({ url }) => ({ status: 200, body: inspection.troubles(limitOf(url)) }),
    'GET /refusals': ({ url }) => ({ status: 200, body: inspection.refusals(limitOf(url)) }),
    'GET /why': ({ url }) => {
      const answer = inspection.why(decodeSegment(url.pathname.slice('/why/'.length)));
      return { status: answer.refusals.length > 0 ? 200 : 404, body: answer };
    },
    'GET /route': ({ url }) => route(questionFromQuery(url.searchParams, defaultSide)),
    'POST /route': ({ body }) => route(questionFromJson(body, defaultSide)),
    'POST /drain': () => {
      drain();
      return { status: 202, body: { draining: true } };
    },
  };
}

function limitOf(url: URL): number {
  const limit = Number(url.searchParams.get('limit') ?? '100');
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, itemsMax) : 100;
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** null: too large. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function problem(status: number, code: string, detail: string): Answer {
  return { status, body: { title: code, status, detail }, type: 'application/problem+json' };
}

function write(response: ServerResponse, headOnly: boolean, { status, body, type }: Answer): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(typeof body === 'string' ? body : `${JSON.stringify(body, jsonable, 2)}\n`);
  response.writeHead(status, { 'content-type': type ?? 'application/json', 'content-length': bytes.length, 'cache-control': 'no-store' });
  response.end(headOnly ? undefined : bytes);
}

function jsonable(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  return value;
}

/** SETTINGS, then GOAWAY HTTP_1_1_REQUIRED with a sentence: what a client that speaks HTTP/2 can understand (RFC 9113 section 7). */
const http2Refusal = ((): Buffer => {
  const text = Buffer.from('the admin interface speaks HTTP/1.1 only');
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const goaway = Buffer.from([0, 0, 8 + text.length, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0d]);
  return Buffer.concat([settings, goaway, text]);
})();

function refuseBytes(error: NodeJS.ErrnoException, socket: Socket | NodeJS.WritableStream): void {
  if (!('destroyed' in socket) || socket.destroyed || !socket.writable) return;
  if (error.code === 'HPE_PAUSED_H2_UPGRADE') {
    socket.end(http2Refusal);
    return;
  }
  const detail = JSON.stringify({ title: 'bad-request', status: 400, detail: `the request is not HTTP/1.1: ${error.code ?? error.message}` });
  socket.end(`HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(detail)}\r\n\r\n${detail}`);
}
