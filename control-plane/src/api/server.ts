import type { AddressInfo, Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { ApiCall, ApiRoute } from './api-route.ts';
import { refuseHttp2 } from './http2-preface.ts';
import { isLoopbackHost, refuseForeignPages } from './foreign-pages.ts';
import { readParameters } from './parameters.ts';
import { ApiError, bodyTypes, problemOf } from './problem.ts';
import type { Problem } from './problem.ts';
import { readHeaderText } from './request-text.ts';
import type { Access } from '../operators/access.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { ForbiddenError } from '../operators/forbidden-error.ts';
import { audited } from './audited.ts';
import type { ApiCertificate, ApiCertificateMaterial } from '../operators/api-certificate.ts';
import type { ApiGate } from '../operators/gate.ts';
import type { RouteRight } from '../operators/route-right.ts';
import { authorOf } from '../operators/principal.ts';
import { StartError } from '../start-error.ts';

/** The HTTP side of the control plane. */
export interface ApiServer {
  /** Answers the port that was bound. Throws StartError: elsewhere than on loopback it takes TLS and tokens. */
  listen(options: { readonly host: string; readonly port: number }): Promise<number>;
  /** The framework's own entrance, for tests. */
  readonly instance: FastifyInstance;
  close(): Promise<void>;
}

export interface ApiServerPorts {
  readonly routes: readonly ApiRoute[];
  readonly gate: ApiGate;
  /** null, or missing: without TLS. */
  readonly certificate?: ApiCertificate | null;
  /** Where what was done is written before it is answered. */
  readonly audit: AuditLog;
  /** Told of who may not do what they ask for. */
  readonly onForbidden?: (refused: { readonly error: ForbiddenError; readonly operation: string; readonly address: string }) => void;
  /** Defects: what a handler threw and nobody expected. */
  readonly alarm: (error: unknown) => void;
  /** Told of every path as it is registered: tests compare them with the documentation. */
  readonly onRoute?: (route: RouteOptions) => void;
  readonly observe?: (seen: { readonly route: string; readonly method: string; readonly status: number; readonly ms: number }) => void;
}

const bodyDefaultBytes = 1024 * 1024;
const connectionsMax = 2_048;
const handshakeMs = 10_000;

export function createApiServer(ports: ApiServerPorts): ApiServer {
  const { gate, certificate = null } = ports;
  const scheme = certificate ? 'https' : 'http';
  const app = fastify({
    ...(certificate && { https: tlsOptions(certificate) }),
    logger: false,
    bodyLimit: bodyDefaultBytes,
    requestTimeout: 120_000,
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    routerOptions: { maxParamLength: 300 },
    exposeHeadRoutes: true,
    forceCloseConnections: true,
    return503OnClosing: true,
    clientErrorHandler(error, socket) {
      answerClientError(error as unknown as ClientError, socket);
    },
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply, problemOf(error));
    },
  });
  app.server.maxConnections = connectionsMax;
  // Connections that are open keep what they have; the next handshake shows the new one.
  const renewals = certificate?.subscribe((material) => (app.server as unknown as TlsServer).setSecureContext(secureContext(material)));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(bodyTypes, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  const operations = new Map(ports.routes.map(({ method, path, operationId }) => [`${method} ${fastifyPath(path)}`, operationId]));
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (error instanceof ForbiddenError) ports.onForbidden?.({ error, operation: operations.get(routeKey(request)) ?? '', address: request.socket.remoteAddress ?? '' });
    if (problem.status === 500) ports.alarm(error);
    sendProblem(reply, problem);
  });
  if (ports.onRoute) app.addHook('onRoute', ports.onRoute);
  const rights = new Map(ports.routes.map(({ method, path, right }) => [`${method} ${fastifyPath(path)}`, right]));
  const admitted = new WeakMap<FastifyRequest, Access>();
  app.addHook('onRequest', async (request) => {
    refuseForeignPages(request.headers, { trustsMachine: gate.kind === 'off', scheme });
    admitted.set(request, await admit(gate, request, rights));
    refuseEncodedBody(request);
  });
  const byPath = Map.groupBy(ports.routes, ({ path }) => path);
  for (const route of ports.routes) {
    register(app, audited(route, ports.audit), (request) => {
      const access = admitted.get(request);
      if (!access) throw new Error('invariant: every request was admitted before it is handled');
      return { access, author: authorOf(access.principal), stillGood: () => gate.stillGood(access.principal) };
    });
  }
  app.setNotFoundHandler((request) => refuseUnknown(request, byPath));
  const { observe } = ports;
  if (observe) {
    app.addHook('onResponse', (request, reply, done) => {
      observe({ route: request.routeOptions.url ?? '', method: request.method, status: reply.statusCode, ms: reply.elapsedTime });
      done();
    });
  }
  return {
    instance: app,
    async listen({ host, port }) {
      refuseOpenApi(host, { tls: certificate !== null, tokens: gate.kind === 'tokens' });
      try {
        await app.listen({ host, port });
      } catch (error) {
        throw new StartError('port', `the API cannot listen on ${host}:${port}: ${(error as Error).message}`, { cause: error });
      }
      return (app.server.address() as AddressInfo).port;
    },
    async close() {
      renewals?.unsubscribe();
      await app.close();
    },
  };
}

/** `/v1/revisions/{n}` as fastify writes it. */
export function fastifyPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

/** For what has no path, and for a path whose right is missing: neither is a way around the door. */
const unknownRight: RouteRight = { role: 'viewer', scoped: 'whole' };
const missingRight: RouteRight = { role: 'admin', scoped: 'refused' };

function admit(gate: ApiGate, request: FastifyRequest, rights: ReadonlyMap<string, RouteRight | undefined>): Access | Promise<Access> {
  const right = request.routeOptions.url === undefined ? unknownRight : (rights.get(routeKey(request)) ?? missingRight);
  const claimed = (): string => {
    const author = readHeaderText(singleHeader(request, 'x-remora-author'), 'x-remora-author', 256);
    // The history takes them for steps of a rollout.
    if (author.startsWith('canary/')) throw new ApiError('bad-request', 'x-remora-author: names that begin with canary/ are those of canaries');
    return author;
  };
  return gate.admit(right, { rawHeaders: request.raw.rawHeaders, url: request.url, address: request.socket.remoteAddress ?? '' }, claimed);
}

/** `GET /v1/sidecars/:id`; HEAD is a GET without its answer. */
function routeKey({ method, routeOptions: { url = '' } }: FastifyRequest): string {
  return `${method === 'HEAD' ? 'GET' : method} ${url}`;
}

function register(app: FastifyInstance, route: ApiRoute, whoOf: (request: FastifyRequest) => Pick<ApiCall, 'access' | 'author' | 'stillGood'>): void {
  app.route({
    method: route.method,
    url: fastifyPath(route.path),
    // A stream of events has no length and no end: there is nothing that HEAD could answer.
    exposeHeadRoute: route.method === 'GET' && route.path !== '/v1/events',
    bodyLimit: route.body?.maxBytes ?? bodyDefaultBytes,
    handler: async (request, reply) => {
      const answer = await route.handle({
        params: readParameters(route.params, request.params as Record<string, unknown>, 'path'),
        query: readParameters(route.query, request.query as Record<string, unknown>, 'query'),
        body: request.body instanceof Uint8Array ? request.body : new Uint8Array(),
        contentType: request.headers['content-type'] ?? '',
        header: (name) => singleHeader(request, name),
        ...whoOf(request),
        address: request.socket.remoteAddress ?? '',
        target: `${request.method} ${request.url}`,
        request,
        reply,
      });
      if (answer === 'stream') return reply;
      reply.code(answer.status).headers({ 'cache-control': 'no-store', ...answer.headers });
      if (answer.body === undefined) return reply.send();
      // Bytes: for text the framework would add a character set that these types do not have.
      const { body } = answer;
      const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
      return reply.header('content-type', answer.contentType ?? 'application/json').send(bytes);
    },
  });
}

/** Bodies are read as they come: nothing is inflated here, so nothing can explode. */
function refuseEncodedBody({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') throw new ApiError('unsupported-media-type', `content-encoding ${encoding.slice(0, 40)} is not read here; send the body as it is`);
}

function singleHeader(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function sendProblem(reply: Pick<FastifyReply, 'code'>, problem: Problem): void {
  void reply.code(problem.status).headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...headersOf(problem) }).send(Buffer.from(JSON.stringify(problem)));
}

/** Fields that a status asks for. */
function headersOf(problem: Problem): Record<string, string> {
  switch (problem.status) {
    case 401:
      // RFC 6750 section 3: without credentials, no error code.
      return { 'www-authenticate': `Bearer realm="remora"${problem['reason'] === 'missing' ? '' : ', error="invalid_token"'}` };
    case 405:
      return { allow: String(problem['allow']) };
    case 429:
      return { 'retry-after': String(problem['retryAfterSeconds']) };
    case 503:
      return { 'retry-after': '1' };
    default:
      return {};
  }
}

function refuseUnknown(request: FastifyRequest, byPath: ReadonlyMap<string, readonly ApiRoute[]>): never {
  const path = request.url.split('?', 1)[0] ?? '';
  for (const [pattern, routes] of byPath) {
    if (!new RegExp(`^${pattern.replaceAll(/[.*+?^$()|[\]\\]/g, String.raw`\$&`).replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)) continue;
    const allowed = routes.map(({ method }) => method).join(', ');
    throw new ApiError('method-not-allowed', `${path} has ${allowed}, not ${request.method}`, { facts: { allow: allowed } });
  }
  throw new ApiError('no-such-path', `there is no ${path}; /openapi.json lists what there is`);
}

/** Where others can reach the API, they show a token, and nobody on the way sees it. */
export function refuseOpenApi(host: string, has: { readonly tls: boolean; readonly tokens: boolean }): void {
  if (isLoopbackHost(host) || (has.tls && has.tokens)) return;
  const missing = [...(has.tokens ? [] : ['tokens (--api-auth tokens)']), ...(has.tls ? [] : ['TLS (--api-cert-file and --api-key-file, or --api-tls ca)'])];
  throw new StartError('refused', `refusing to listen on ${host}: where others can reach the API it takes ${missing.join(' and ')}; or use 127.0.0.1`);
}

function tlsOptions({ material }: ApiCertificate): object {
  return { ...secureContext(material), ALPNProtocols: ['http/1.1'], handshakeTimeout: handshakeMs };
}

function secureContext({ key, certificates }: ApiCertificateMaterial): { key: Buffer; cert: Buffer; minVersion: 'TLSv1.2' } {
  return { key, cert: certificates, minVersion: 'TLSv1.2' };
}

/** Node's `clientError`, as it is at run time. */
type ClientError = Error & { readonly code?: string; readonly rawPacket?: Buffer };

/** What Node's parser refuses never becomes a request: the answer is written by hand. */
function answerClientError(error: ClientError, socket: Socket): void {
  if (!socket.writable || socket.destroyed) {
    socket.destroy();
    return;
  }
  if (error.rawPacket?.subarray(0, 14).toString('latin1') === 'PRI * HTTP/2.0') {
    refuseHttp2(socket, 'this port speaks HTTP/1.1 only; sidecars connect to the push port');
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const body = JSON.stringify({ type: 'urn:remora:problem:bad-request', title: 'The request cannot be understood', status, code: 'bad-request', detail: `not valid HTTP/1.1 (${error.code ?? error.message})` });
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
