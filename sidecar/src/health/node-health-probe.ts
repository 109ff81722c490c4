import { request, type IncomingMessage } from 'node:http';
import { connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { encodeGrpcCheck, readGrpcHealth } from '@remora/policy-health-check/wire';
import type { HealthProbe, ProbeAnswer, ProbeQuestion } from './health-probe.ts';
import { connectProbe, type ProbeWays } from './probe-connection.ts';

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
    const socket = await connectProbe(question, question.protocol === 'grpc' ? 'h2' : 'http/1.1', this.#ways);
    open.add(socket);
    if (question.protocol === 'tcp') return { problem: '' };
    return question.protocol === 'grpc' ? askGrpc(question, socket) : askHttp(question, socket);
  }
}

/** Of the body that is looked at. */
const bodyBytesMax = 4_096;

async function askHttp({ host, settings: { http } }: ProbeQuestion, socket: Socket): Promise<ProbeAnswer> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({
      createConnection: () => socket, method: http.method, path: http.path,
      headers: { host: http.host === '' ? host.service : http.host, 'user-agent': 'remora-health-check', connection: 'close', ...Object.fromEntries(http.headers.map(({ name, value }) => [name, value])) },
    }, resolve).once('error', reject).end();
  });
  const status = answer.statusCode ?? 0;
  if (!http.statuses.some(({ from, to }) => status >= from && status <= to)) return { problem: String(status) };
  if (http.bodyContains === '') return { problem: '' };
  return (await readStart(answer)).includes(http.bodyContains) ? { problem: '' } : { problem: 'its body does not have the expected text' };
}

async function readStart(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= bodyBytesMax) break;
  }
  return Buffer.concat(chunks).subarray(0, bodyBytesMax).toString();
}

/** grpc.health.v1.Health/Check. */
function askGrpc({ host, settings }: ProbeQuestion, socket: Socket): Promise<ProbeAnswer> {
  const session = connect(`http://${host.service}`, { createConnection: () => socket });
  return new Promise<ProbeAnswer>((resolve, reject) => {
    session.once('error', reject);
    const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers', 'user-agent': 'remora-health-check' });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let status = '';
    stream.on('response', (headers) => { status = textOf(headers['grpc-status']); });
    stream.on('trailers', (trailers) => { status = textOf(trailers['grpc-status']); });
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bodyBytesMax) stream.close(constants.NGHTTP2_CANCEL);
      else chunks.push(chunk);
    });
    stream.once('end', () => resolve(status === '0' ? { problem: readGrpcHealth(Buffer.concat(chunks)) } : { problem: status === '' ? 'no grpc-status' : `grpc-status ${status}` }));
    stream.once('error', reject);
    stream.end(encodeGrpcCheck(settings.grpcService));
  }).finally(() => session.destroy());
}

function textOf(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value : value?.[0] ?? '';
}

/** Causes as people say them; addresses are in the event already. */
function problemText(error: unknown): string {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  if (code === 'ECONNREFUSED') return 'nobody listens';
  if (code === 'ECONNRESET') return 'the connection broke';
  return (message ?? String(error)).slice(0, 200);
}
