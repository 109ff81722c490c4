import net from 'node:net';
import { MessageReader, type ReadMessage } from '@remora/http/message-reader';

/** Tests only: one end of a TCP connection, byte by byte as the test wants it. Waits for conditions, never for time. */
export class WireEnd {
  received = Buffer.alloc(0);
  /** `end`: FIN came. `reset`: the connection broke. */
  state: 'open' | 'end' | 'reset' = 'open';
  readonly socket: net.Socket;
  readonly #waiting: (() => void)[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    socket.on('end', () => {
      if (this.state === 'open') this.state = 'end';
      this.#wake();
    });
    socket.on('error', () => {
      this.state = 'reset';
      this.#wake();
    });
    socket.on('close', () => {
      if (this.state === 'open') this.state = 'reset';
      this.#wake();
    });
  }

  static connect(port: number): Promise<WireEnd> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.removeListener('error', reject);
        resolve(new WireEnd(socket));
      });
    });
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  send(text: string | Uint8Array): void {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  close(): void {
    this.socket.destroy();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  untilText(part: string): Promise<void> {
    return this.until(() => this.text.includes(part) || this.state !== 'open');
  }

  untilClosed(): Promise<void> {
    return this.until(() => this.state !== 'open');
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** The nth message that has come whole, counted from 1; null where the connection ended before. */
  async message(kind: 'request' | 'response', nth: number): Promise<ReadMessage | null> {
    const find = (): ReadMessage | null => {
      const reader = new MessageReader(kind, { bytesMax: 1_000_000, fieldsMax: 1000 });
      reader.feed(this.received);
      if (this.state === 'end') reader.end();
      return reader.messages.filter(({ head }) => head.status === 0 || head.status >= 200)[nth - 1] ?? null;
    };
    await this.until(() => find() !== null || this.state !== 'open');
    return find();
  }
}

/** Tests only: an upstream that does what the test says, on each of its connections. */
export class WireUpstream {
  readonly connections: WireEnd[] = [];
  port = 0;
  readonly #server: net.Server;
  readonly #waiting: (() => void)[] = [];

  private constructor(behave: (end: WireEnd, nth: number) => unknown) {
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const end = new WireEnd(socket);
      this.connections.push(end);
      for (const resolve of this.#waiting.splice(0)) resolve();
      void behave(end, this.connections.length);
    });
  }

  static async start(behave: (end: WireEnd, nth: number) => unknown): Promise<WireUpstream> {
    const upstream = new WireUpstream(behave);
    await new Promise<void>((resolve) => {
      upstream.#server.listen(0, '127.0.0.1', resolve);
    });
    upstream.port = (upstream.#server.address() as net.AddressInfo).port;
    return upstream;
  }

  /** The nth connection, counted from 1. */
  async connection(nth: number): Promise<WireEnd> {
    while (this.connections.length < nth) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    return this.connections[nth - 1] as WireEnd;
  }

  close(): void {
    for (const { socket } of this.connections) socket.destroy();
    this.#server.close();
  }
}

/** An upstream that answers every request with its own text as the body. */
export async function echoRequests(end: WireEnd): Promise<void> {
  for (let nth = 1; ; nth++) {
    const request = await end.message('request', nth);
    if (request === null) return;
    const fields: string[] = [];
    request.head.forEach((name, value) => fields.push(`${name}: ${value}`));
    const body = JSON.stringify({ method: request.head.method, target: request.head.target, fields, body: Buffer.concat(request.body).toString('latin1') });
    end.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nContent-Type: application/json\r\n\r\n${body}`);
  }
}
