import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { webSocketAccept } from '@remora/sidecar/io/web-socket-key';
import type { FuzzUpstream } from '../gateway-layer.ts';
import { tokenPattern } from '../http1/request-generator.ts';
import { ScriptedUpstream } from '../scripted-upstream.ts';
import type { Transport } from '../transport.ts';
import { TappedSocket } from '../witness/tapped-socket.ts';
import { TunnelEnd } from './tunnel-end.ts';
import type { UpgradeAnswer } from './upgrade-plan.ts';

/** What came for one token. */
export interface UpgradeVisit {
  readonly answer: UpgradeAnswer;
  /** Asked for a switch, in the words of its version. */
  asked: boolean;
  /** Of the upstream's side. */
  version: 1 | 2;
  /** Behind a switch. */
  end: TunnelEnd | null;
}

/** An upstream of both versions, told apart by their first bytes, that switches or does not as was laid down for the token of a request. */
export class UpgradeUpstream implements FuzzUpstream {
  readonly visits = new Map<string, UpgradeVisit>();
  /** Every token that was read as a request, in order; by its first half. */
  readonly read = new Map<string, string[]>();
  /** Tokens of requests on connections whose last answer was wrong. */
  readonly reused: string[] = [];
  #scripted!: ScriptedUpstream;
  readonly #http2: Http2Server = createServer({ settings: { enableConnectProtocol: true } });

  static async start(transport: Transport): Promise<UpgradeUpstream> {
    const upstream = new UpgradeUpstream();
    upstream.#http2.on('session', (session) => session.on('error', () => {}));
    upstream.#http2.on('sessionError', () => {});
    upstream.#http2.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => upstream.#stream(stream, headers));
    upstream.#scripted = await ScriptedUpstream.start(transport, (socket) => upstream.#serve(socket));
    return upstream;
  }

  get port(): number {
    return this.#scripted.port;
  }

  #serve(socket: Socket): void {
    socket.once('data', (first: Buffer) => {
      if (first.toString('latin1', 0, 3) === 'PRI') {
        const tapped = new TappedSocket(socket);
        tapped.push(first);
        tapped.on('error', () => {});
        this.#http2.emit('connection', tapped);
      } else this.#serveHttp1(socket, first);
    });
  }

  /** Requests one after the other; those with a body say its length. */
  #serveHttp1(socket: Socket, first: Buffer): void {
    let input = first;
    const onEnd = (): void => void socket.end();
    const next = (): void => {
      for (;;) {
        const end = input.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = input.toString('latin1', 0, end + 2);
        const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
        if (input.length < end + 4 + length) return;
        input = input.subarray(end + 4 + length);
        if (this.#http1Request(socket, head, input)) {
          socket.off('data', more);
          socket.off('end', onEnd);
          return;
        }
      }
    };
    const more = (bytes: Buffer): void => {
      input = Buffer.concat([input, bytes]);
      next();
    };
    socket.on('data', more);
    socket.once('end', onEnd);
    next();
  }

  /** Answers true where the connection is no longer of HTTP. */
  #http1Request(socket: Socket, head: string, behind: Buffer): boolean {
    const token = tokenPattern.exec(head)?.[1] ?? '';
    const visit = this.#note(token);
    if (visit === undefined) {
      socket.write(`HTTP/1.1 200 OK\r\nX-Token: ${token}\r\nContent-Length: 2\r\n\r\nok`);
      return false;
    }
    const { answer } = visit;
    visit.asked = /^upgrade:/im.test(head);
    if (answer.kind === 'gone') {
      if (answer.resets) socket.resetAndDestroy();
      else socket.destroySoon();
      return true;
    }
    if (answer.kind === 'refusal') {
      socket.write(`HTTP/1.1 ${answer.status} Answer\r\nX-Token: ${token}\r\n${answer.status === 204 ? '' : `Content-Length: ${answer.body.length}\r\n`}\r\n${answer.body}`);
      return false;
    }
    const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1] ?? '';
    socket.write(Buffer.concat([Buffer.from(answer.head.replace('KEY', webSocketAccept(key))), answer.early]));
    if (answer.kind === 'wrong') this.#watch(socket, behind);
    else visit.end = new TunnelEnd(socket, behind);
    return true;
  }

  /** Nothing may come on it any more. */
  #watch(socket: Socket, behind: Buffer): void {
    const look = (bytes: Buffer): void => { if (bytes.length > 0) this.reused.push(bytes.toString('latin1', 0, 100)); };
    look(behind);
    socket.on('data', look);
    socket.once('end', () => socket.end());
  }

  #stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // Node tells of streams, too, whose connection has gone in the same turn.
    if (stream.destroyed) return;
    stream.on('error', () => {});
    const token = tokenPattern.exec(String(headers[':path']))?.[1] ?? '';
    const visit = this.#note(token);
    if (visit === undefined) {
      stream.respond({ ':status': 200, 'x-token': token, 'content-length': 2 });
      stream.end('ok');
      return;
    }
    const { answer } = visit;
    visit.asked = headers[':protocol'] !== undefined;
    visit.version = 2;
    if (answer.kind === 'gone') stream.destroy(new Error('gone'));
    else if (answer.kind === 'refusal' || answer.kind === 'wrong' || !visit.asked) {
      // Any success is a switch here, and 101 has no meaning (RFC 8441 section 5, RFC 9113 section 8.6).
      const status = answer.kind === 'refusal' && (answer.status >= 300 || !visit.asked) ? answer.status : notSwitched;
      stream.respond({ ':status': status, 'x-token': token, ...(status !== 204 && { 'content-length': answer.body.length }) }, { endStream: status === 204 });
      if (status !== 204) stream.end(answer.body);
    } else {
      stream.respond({ ':status': 200, 'x-token': token });
      if (answer.early.length > 0) stream.write(answer.early);
      visit.end = new TunnelEnd(stream, Buffer.alloc(0));
    }
  }

  #note(token: string): UpgradeVisit | undefined {
    const prefix = token.slice(0, 8);
    const list = this.read.get(prefix);
    if (list === undefined) this.read.set(prefix, [token]);
    else list.push(token);
    return this.visits.get(token);
  }

  forget(prefix: string): void {
    this.read.delete(prefix);
  }

  async close(): Promise<void> {
    await this.#scripted.close();
    this.#http2.close();
  }
}

export const notSwitched = 403;
