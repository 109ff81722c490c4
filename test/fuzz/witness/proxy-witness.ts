import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer, METHODS, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { freePort } from '@remora/testing/free-port';
import { scratchFolder } from '@remora/testing/scratch-folder';
import { startPinned, stop, untilListening } from '../../processes/child.ts';
import { pairUp, type Account, type ReadRequest, type Witness } from './account.ts';

/** Another reverse proxy. It sets `x-witness-port` to the port of its client. */
export interface ProxyKind {
  readonly name: string;
  /** Headers that it keeps to itself. */
  readonly silentOn: readonly string[];
  /** Valid requests that it refuses by a policy of its own. */
  refuses(request: ReadRequest): boolean;
  configuration(at: { readonly folder: string; readonly port: number; readonly recorderPort: number }): string;
  command(configurationFile: string, folder: string): readonly string[];
}

/** A reverse proxy as a parser: what it passes on, request by request, is how it read the stream. */
export class ProxyWitness implements Witness {
  readonly name: string;
  readonly silentOn: ReadonlySet<string>;
  /** It forgets what it has of clients that leave. */
  readonly wholeOnly = true;
  readonly #kind: ProxyKind;
  readonly #recorder: Server;
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #folder: string;
  /** By the port from which a stream was sent. */
  readonly #seen: Map<number, ReadRequest[]>;

  private constructor(kind: ProxyKind, running: { readonly recorder: Server; readonly child: ChildProcess; readonly port: number; readonly folder: string; readonly seen: Map<number, ReadRequest[]> }) {
    this.#kind = kind;
    this.name = kind.name;
    this.silentOn = new Set([...kind.silentOn, portHeader]);
    this.#recorder = running.recorder;
    this.#child = running.child;
    this.#port = running.port;
    this.#folder = running.folder;
    this.#seen = running.seen;
  }

  static async start(kind: ProxyKind): Promise<ProxyWitness> {
    const seen = new Map<number, ReadRequest[]>();
    const recorder = createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (bytes: Buffer) => chunks.push(bytes)).on('error', () => {});
      request.once('end', () => {
        seen.get(Number(request.headers[portHeader]))?.push(readRequest(request, chunks));
        response.writeHead(204).end();
      });
    });
    recorder.on('checkExpectation', (request, response) => recorder.emit('request', request, response));
    recorder.listen(0, '127.0.0.1');
    await once(recorder, 'listening');
    const folder = scratchFolder('witness');
    const port = await freePort();
    const file = path.join(folder, 'witness.conf');
    writeFileSync(file, kind.configuration({ folder, port, recorderPort: (recorder.address() as AddressInfo).port }));
    const child = startPinned(null, kind.command(file, folder));
    await untilListening(port);
    return new ProxyWitness(kind, { recorder, child, port, folder, seen });
  }

  /** Its recorder knows Node's methods only. */
  mayRefuse(request: ReadRequest): boolean {
    return !METHODS.includes(request.method) || this.#kind.refuses(request);
  }

  async read(streams: readonly Uint8Array[]): Promise<readonly Account[]> {
    const accounts: Account[] = [];
    for (let at = 0; at < streams.length; at += parallel) accounts.push(...await Promise.all(streams.slice(at, at + parallel).map((bytes) => this.#read(bytes))));
    return accounts;
  }

  async #read(bytes: Uint8Array): Promise<Account> {
    const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    await once(socket, 'connect');
    const key = socket.localPort ?? 0;
    const requests: ReadRequest[] = [];
    this.#seen.set(key, requests);
    let answers = '';
    socket.setEncoding('latin1').on('data', (text: string) => { answers += text; });
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    // Proxies give up requests of a client that has ended its side: the end is told by a request of ours that asks to close.
    socket.write(bytes);
    socket.write(`GET ${lastTarget} HTTP/1.1\r\nHost: witness\r\nConnection: close\r\n\r\n`);
    socket.setTimeout(answerMs, () => socket.destroy());
    socket.once('end', () => socket.end());
    await closed;
    this.#seen.delete(key);
    const last = requests.findIndex(({ target }) => target === lastTarget);
    const complaint = /^HTTP\/1\.1 (?!204|100)(\d{3}[^\r]*)/m.exec(answers)?.[1] ?? '';
    return { requests: last < 0 ? requests : requests.slice(0, last), complaint: last < 0 ? complaint || 'the last request was not read as one' : '' };
  }

  async close(): Promise<void> {
    await stop(this.#child);
    this.#recorder.closeAllConnections();
    this.#recorder.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const portHeader = 'x-witness-port';
const parallel = 16;
/** Longer than a busy machine needs. */
const answerMs = 60_000;
const lastTarget = '/witness/last';

function readRequest(request: IncomingMessage, chunks: readonly Buffer[]): ReadRequest {
  return { method: request.method ?? '', target: request.url ?? '', headers: pairUp(request.rawHeaders), body: Buffer.concat(chunks).toString('latin1'), trailers: null };
}
