import { request, type IncomingMessage } from 'node:http';
import { connect, constants, type ClientHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { encodeGrpcCheck, readGrpcHealth } from '@remora/policy-health-check/wire';
import type { HealthProbe, ProbeAnswer, ProbeQuestion } from './health-probe.ts';
import { connectProbe, type ProbeWays } from './probe-connection.ts';
import { strangeBytes } from './strange-bytes.ts';

/** Asks over the network: one connection for each question, closed afterwards. */
export class NodeHealthProbe implements HealthProbe {
  readonly #ways: ProbeWays;

  constructor(ways: ProbeWays) {
    this.#ways = ways;
  }

  async ask(question: ProbeQuestion): Promise<ProbeAnswer> {
    const { timeoutMs } = question.settings;
    const open = new Set<Socket>();
    const patience = Promise.withResolvers<ProbeAnswer>();
    const timer = setTimeout(() => patience.resolve({ problem: 'no answer in time' }), timeoutMs);
    try {
      return await Promise.race([this.#asked(question, open), patience.promise]);
    } catch (error) {
      return { problem: problemText(error) };
    } finally {
      clearTimeout(timer);
      patience.resolve({ problem: '' });
      for (const socket of open) socket.destroy();
    }
  }

  async #asked(question: ProbeQuestion, open: Set<Socket>): Promise<ProbeAnswer> {
    const http2 = question.protocol === 'grpc' || question.http2;
    const socket = await connectProbe(question, http2 ? 'h2' : 'http/1.1', this.#ways);
    open.add(socket);
    if (question.protocol === 'tcp') return { problem: '' };
    if (question.protocol === 'grpc') return askGrpc(question, socket);
    return http2 ? askHttp2(question, socket) : askHttp1(question, socket);
  }
}

/** Of the body that is looked at. */
const bodyBytesMax = 4_096;

function requestHeaders({ host, settings: { http } }: ProbeQuestion): Record<string, string> {
  return { host: http.host === '' ? host.service : http.host, 'user-agent': userAgent, ...Object.fromEntries(http.headers.map(({ name, value }) => [name, value])) };
}

async function askHttp1(question: ProbeQuestion, socket: Socket): Promise<ProbeAnswer> {
  const { http } = question.settings;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ createConnection: () => socket, method: http.method, path: http.path, headers: { ...requestHeaders(question), connection: 'close' } }, resolve).once('error', reject).end();
  });
  return judge(question, answer.statusCode ?? 0, answer);
}

/** By prior knowledge, or as ALPN agreed. */
function askHttp2(question: ProbeQuestion, socket: Socket): Promise<ProbeAnswer> {
  const { http } = question.settings;
  const { host: authority, ...headers } = requestHeaders(question);
  return overHttp2(question, socket, (session) => new Promise((resolve, reject) => {
    const stream = session.request({ ...headers, ':method': http.method, ':path': http.path, ':authority': authority });
    stream.once('response', (head) => resolve(judge(question, head[':status'] ?? 0, stream)));
    stream.once('error', reject);
    stream.end();
  }));
}

async function judge({ settings: { http } }: ProbeQuestion, status: number, body: AsyncIterable<unknown>): Promise<ProbeAnswer> {
  if (!http.statuses.some(({ from, to }) => status >= from && status <= to)) return { problem: String(status) };
  if (http.bodyContains === '') return { problem: '' };
  return (await readStart(body as AsyncIterable<Buffer>)).includes(http.bodyContains) ? { problem: '' } : { problem: 'its body does not have the expected text' };
}

async function readStart(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= bodyBytesMax) break;
  }
  return Buffer.concat(chunks).subarray(0, bodyBytesMax).toString();
}

/** grpc.health.v1.Health/Check. */
function askGrpc(question: ProbeQuestion, socket: Socket): Promise<ProbeAnswer> {
  return overHttp2(question, socket, (session) => new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers', 'user-agent': userAgent });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let httpStatus = 0;
    let status = '';
    stream.on('response', (headers) => {
      httpStatus = headers[':status'] ?? 0;
      status = textOf(headers['grpc-status']);
    });
    stream.on('trailers', (trailers) => { status = textOf(trailers['grpc-status']); });
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bodyBytesMax) stream.close(constants.NGHTTP2_CANCEL);
      else chunks.push(chunk);
    });
    stream.once('end', () => resolve({ problem: grpcProblem(status, httpStatus, chunks) }));
    stream.once('error', reject);
    stream.end(encodeGrpcCheck(question.settings.grpcService));
  }));
}

function grpcProblem(status: string, httpStatus: number, chunks: readonly Buffer[]): string {
  if (status === '0') return readGrpcHealth(Buffer.concat(chunks));
  return status === '' ? `no grpc-status (status ${httpStatus}: is it gRPC?)` : `grpc-status ${status}`;
}

function overHttp2({ host }: ProbeQuestion, socket: Socket, ask: (session: ClientHttp2Session) => Promise<ProbeAnswer>): Promise<ProbeAnswer> {
  const session = connect(`http://${host.service}`, { createConnection: () => socket });
  const broken = new Promise<never>((_, reject) => session.once('error', reject));
  return Promise.race([ask(session), broken]).finally(() => session.destroy());
}

const userAgent = 'remora-health-check';

function textOf(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : value?.[0] ?? '';
}

/** Causes as people say them, with what came where it is no answer at all; addresses are in the event already. */
function problemText(error: unknown): string {
  const { code = '', message, rawPacket } = error as { readonly code?: string; readonly message?: string; readonly rawPacket?: Buffer };
  if (code === 'ECONNREFUSED') return 'nobody listens';
  if (code === 'ECONNRESET') return 'the connection broke before an answer';
  if (code.startsWith('HPE_') && rawPacket !== undefined) return strangeBytes(rawPacket);
  if (code === 'ERR_HTTP2_ERROR') return 'what came is no HTTP/2';
  return (message ?? String(error)).slice(0, 200);
}
