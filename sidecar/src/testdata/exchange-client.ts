import http from 'node:http';
import http2 from 'node:http2';
import type { Readable, Writable } from 'node:stream';

export type TestProtocol = 'http1' | 'http2';
export type TestHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface TestRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: TestHeaders;
  /** Sent whole; absent: the test writes to `request`, and ends it. Null: none. */
  readonly body?: string | Uint8Array | null;
  readonly trailers?: TestHeaders;
}

/** Tests only: one exchange as a client of either protocol sees it. */
export interface ClientExchange {
  readonly request: Writable;
  readonly head: Promise<{ readonly status: number; readonly headers: TestHeaders }>;
  /** Interim responses so far, in order. */
  readonly infos: { readonly status: number; readonly headers: TestHeaders }[];
  /** Paused until somebody reads. Waits for the head. */
  readonly response: Promise<Readable>;
  /** The whole body; rejects where the response is broken off. */
  body(): Promise<Buffer>;
  /** After the body. */
  trailers(): TestHeaders;
  cancel(): void;
}

/** Tests only: an HTTP/1.1 or HTTP/2 client that hides which it is. */
export class ExchangeClient {
  readonly #port: number;
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #session: http2.ClientHttp2Session | null;

  constructor(protocol: TestProtocol, port: number) {
    this.#port = port;
    this.#session = protocol === 'http2' ? http2.connect(`http://127.0.0.1:${port}`) : null;
    this.#session?.on('error', () => {});
  }

  send(request: TestRequest = {}): ClientExchange {
    return this.#session === null ? this.#sendHttp1(request) : sendHttp2(this.#session, request);
  }

  /** Status, body and trailers at once. */
  async fetch(request: TestRequest = {}): Promise<{ readonly status: number; readonly headers: TestHeaders; readonly body: Buffer; readonly text: string; readonly trailers: TestHeaders }> {
    const exchange = this.send({ body: null, ...request });
    const { status, headers } = await exchange.head;
    const body = await exchange.body();
    return { status, headers, body, text: body.toString(), trailers: exchange.trailers() };
  }

  close(): void {
    this.#agent.destroy();
    this.#session?.destroy();
  }

  #sendHttp1({ method = 'GET', path = '/', headers = {}, body, trailers }: TestRequest): ClientExchange {
    const request = http.request({ host: '127.0.0.1', port: this.#port, agent: this.#agent, method, path, headers: { ...headers, ...(trailers && { trailer: Object.keys(trailers).join(',') }) } });
    const infos: ClientExchange['infos'] = [];
    request.on('information', (info) => infos.push({ status: info.statusCode, headers: info.headers }));
    const response = new Promise<http.IncomingMessage>((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', reject);
    });
    const head = response.then(({ statusCode = 0, headers: fields }) => ({ status: statusCode, headers: fields }));
    head.catch(() => {});
    sendBody(request, body, () => {
      if (trailers !== undefined) request.addTrailers(trailers);
    });
    let received: http.IncomingMessage | null = null;
    return {
      request,
      infos,
      response,
      head,
      body: async () => {
        received = await response;
        return readAll(received);
      },
      trailers: () => received?.trailers ?? {},
      cancel: () => request.destroy(),
    };
  }
}

function sendHttp2(session: http2.ClientHttp2Session, { method = 'GET', path = '/', headers = {}, body, trailers }: TestRequest): ClientExchange {
  const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === null, waitForTrailers: trailers !== undefined });
  const infos: ClientExchange['infos'] = [];
  stream.on('headers', (fields) => infos.push({ status: Number(fields[':status']), headers: fields }));
  let closing: TestHeaders = {};
  stream.on('trailers', (fields) => {
    closing = fields;
  });
  const head = new Promise<{ status: number; headers: TestHeaders }>((resolve, reject) => {
    stream.on('response', (fields) => resolve({ status: Number(fields[':status']), headers: fields }));
    stream.on('error', reject);
    stream.on('close', () => reject(new Error('closed before the response')));
  });
  const response = head.then(() => stream);
  response.catch(() => {});
  stream.on('error', () => {});
  if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers as http2.OutgoingHttpHeaders));
  if (body !== null) sendBody(stream, body, () => {});
  return {
    request: stream,
    infos,
    head,
    response,
    body: async () => {
      await head;
      return readAll(stream);
    },
    trailers: () => closing,
    // `close` would end the request first.
    cancel: () => stream.destroy(new Error('cancelled')),
  };
}

function sendBody(request: Writable, body: TestRequest['body'], beforeEnd: () => void): void {
  if (body === undefined) return;
  if (body !== null) request.write(body);
  beforeEnd();
  request.end();
}

function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => resolve(Buffer.concat(chunks)));
    stream.on('error', reject);
    stream.on('aborted', () => reject(new Error('the response was broken off')));
    stream.on('close', () => reject(new Error('closed before the end')));
  });
}
