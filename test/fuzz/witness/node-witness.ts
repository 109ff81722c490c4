import { createServer, METHODS, type IncomingMessage, type Server } from 'node:http';
import { pairUp, type Account, type ReadRequest, type Witness } from './account.ts';
import { HttpDuplex } from './http-duplex.ts';

/** Node's own `node:http` server (llhttp), on connections in memory. */
export class NodeWitness implements Witness {
  readonly name = 'node:http';
  readonly silentOn: ReadonlySet<string> = new Set();
  readonly wholeOnly = false;
  readonly #server: Server;
  readonly #reading = new WeakMap<object, (request: ReadRequest) => void>();
  readonly #complaints = new WeakMap<object, string>();

  constructor() {
    this.#server = createServer({ maxHeaderSize: 1 << 20, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, connectionsCheckingInterval: 1 << 30 });
    this.#server.maxHeadersCount = 5000;
    this.#server.on('request', (request: IncomingMessage, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (bytes: Buffer) => chunks.push(bytes));
      request.on('error', () => {});
      request.once('end', () => {
        this.#reading.get(request.socket)?.({
          method: request.method ?? '', target: request.url ?? '', headers: pairUp(request.rawHeaders),
          body: Buffer.concat(chunks).toString('latin1'), trailers: pairUp(request.rawTrailers),
        });
        response.writeHead(204).end();
      });
    });
    this.#server.on('checkExpectation', (request, response) => this.#server.emit('request', request, response));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code !== 'HPE_INVALID_EOF_STATE' && error.code !== 'ECONNRESET') this.#complaints.set(socket, error.code ?? error.message);
      // Requests that are complete are still being told.
      void laterTurns(8).then(() => socket.destroy());
    });
  }

  /** Behind an upgrade that it does not take, Node drops what else came in the same segment. */
  mayRefuse({ method, headers }: ReadRequest): boolean {
    return !METHODS.includes(method) || headers.some(([name]) => name === 'upgrade');
  }

  async read(streams: readonly Uint8Array[]): Promise<readonly Account[]> {
    return Promise.all(streams.map((bytes) => this.#read(bytes)));
  }

  #read(bytes: Uint8Array): Promise<Account> {
    const socket = new MemorySocket();
    const requests: ReadRequest[] = [];
    this.#reading.set(socket, (request) => requests.push(request));
    return new Promise((resolve) => {
      socket.once('close', () => resolve({ requests, complaint: this.#complaints.get(socket) ?? '' }));
      this.#server.emit('connection', socket);
      socket.push(bytes);
      socket.push(null);
    });
  }

  async close(): Promise<void> {
    this.#server.close();
  }
}

async function laterTurns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => { setImmediate(resolve); });
}

/** What is written goes nowhere. */
class MemorySocket extends HttpDuplex {
  override _write(_bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
}
