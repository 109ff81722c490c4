import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { readProxyHeader } from '@remora/http/first-bytes/read-proxy-header';
import type { ProxyHeader } from '@remora/http/first-bytes/proxy-header';
import type { TestCertificate } from '@remora/testing/test-authority';

type Kind = 'http1' | 'http2' | 'greeting' | { readonly tls: TestCertificate; readonly alpn: readonly string[] };

/**
 * Tests only: a server that closes connections which do not begin with a PROXY protocol header, read as strictly as the specification wants.
 * Behind it: HTTP by Node's own servers, which answer with the number of the connection (`/held` waits for `release`), or a greeting.
 */
export class HeaderedServer {
  port = 0;
  /** In the order of connections. */
  readonly headers: ProxyHeader[] = [];
  /** Why connections were refused. */
  readonly refused: string[] = [];
  /** By local port of our connection to the server behind. */
  readonly #numbers = new Map<number, number>();
  readonly #sockets = new Set<net.Socket>();
  readonly #held: (() => void)[] = [];
  #whenHeld: (() => void)[] = [];
  readonly #server = net.createServer((socket) => this.#accept(socket));
  readonly #behind: net.Server;
  readonly #greets: boolean;

  constructor(kind: Kind) {
    this.#greets = kind === 'greeting';
    const answer = (request: http.IncomingMessage | http2.Http2ServerRequest, response: http.ServerResponse | http2.Http2ServerResponse): void => {
      this.#answer(request.url ?? '', request.socket.remotePort ?? 0, response);
    };
    if (kind === 'http1') this.#behind = http.createServer(answer);
    else if (kind === 'http2') this.#behind = http2.createServer(answer);
    else if (kind === 'greeting') this.#behind = net.createServer((socket) => this.#keep(socket));
    else this.#behind = http2.createSecureServer({ cert: kind.tls.cert, key: kind.tls.key, ALPNProtocols: [...kind.alpn], allowHTTP1: true }, answer);
  }

  async listen(): Promise<void> {
    for (const server of [this.#behind, this.#server]) {
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
    }
    this.port = portOf(this.#server);
  }

  #accept(socket: net.Socket): void {
    this.#keep(socket);
    let first = Buffer.alloc(0);
    const look = (chunk: Buffer): void => {
      first = Buffer.concat([first, chunk]);
      const read = readProxyHeader(first, first.length);
      if (read.kind === 'more') return;
      socket.removeListener('data', look);
      socket.pause();
      if (read.kind === 'bad') {
        this.refused.push(read.problem);
        socket.destroy();
        return;
      }
      this.headers.push(read.header);
      this.#pass(socket, first.subarray(read.used), this.headers.length);
    };
    socket.on('data', look);
  }

  #pass(socket: net.Socket, early: Buffer, number: number): void {
    const behind = net.connect(portOf(this.#behind), '127.0.0.1', () => {
      this.#numbers.set(behind.localPort ?? 0, number);
      behind.write(early);
      if (this.#greets) socket.write(`connection ${number}`);
      socket.pipe(behind);
      behind.pipe(socket);
    });
    this.#keep(behind);
    behind.on('close', () => socket.destroy());
    socket.on('close', () => behind.destroy());
  }

  #keep(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
  }

  #answer(url: string, port: number, response: http.ServerResponse | http2.Http2ServerResponse): void {
    const answer = (): void => {
      response.end(`connection ${this.#numbers.get(port)}`);
    };
    if (url !== '/held') {
      answer();
      return;
    }
    this.#held.push(answer);
    for (const check of this.#whenHeld) check();
  }

  /** Until so many requests are held. */
  held(count: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.#held.length >= count) resolve();
      };
      this.#whenHeld.push(check);
      check();
    });
  }

  /** Answers what is held. */
  release(): void {
    for (const answer of this.#held.splice(0)) answer();
  }

  close(): void {
    this.#whenHeld = [];
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    this.#behind.close();
  }
}

function portOf(server: net.Server): number {
  return (server.address() as net.AddressInfo).port;
}
