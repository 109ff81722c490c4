import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, METHODS, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { requireTool } from '../../conformance/tools.ts';
import { startPinned, stop, untilListening } from '../../processes/child.ts';
import { freePort } from '../../processes/peers.ts';
import { pairUp, type Account, type ReadRequest, type Witness } from './account.ts';

/**
 * nginx as a reverse proxy: what it passes on, request by request, is how it read the stream. It reads bodies whole before it passes them
 * on, drops trailers, and answers some things by itself.
 */
export class NginxWitness implements Witness {
  readonly name = 'nginx';
  readonly silentOn: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'expect', 'upgrade', 'x-witness-port']);
  readonly #recorder: Server;
  readonly #nginx: ChildProcess;
  readonly #port: number;
  readonly #folder: string;
  /** By the port from which a stream was sent. */
  readonly #seen: Map<number, ReadRequest[]>;

  private constructor(recorder: Server, nginx: ChildProcess, port: number, folder: string, seen: Map<number, ReadRequest[]>) {
    this.#recorder = recorder;
    this.#nginx = nginx;
    this.#port = port;
    this.#folder = folder;
    this.#seen = seen;
  }

  static async start(): Promise<NginxWitness> {
    const seen = new Map<number, ReadRequest[]>();
    const recorder = createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (bytes: Buffer) => chunks.push(bytes)).on('error', () => {});
      request.once('end', () => {
        seen.get(Number(request.headers['x-witness-port']))?.push(readRequest(request, chunks));
        response.writeHead(204).end();
      });
    });
    recorder.on('checkExpectation', (request, response) => recorder.emit('request', request, response));
    recorder.listen(0, '127.0.0.1');
    await once(recorder, 'listening');
    const folder = mkdtempSync(path.join(tmpdir(), 'remora-witness-'));
    const port = await freePort();
    writeFileSync(path.join(folder, 'nginx.conf'), configuration(folder, port, (recorder.address() as AddressInfo).port));
    const nginx = startPinned(null, [requireTool('nginx'), '-c', path.join(folder, 'nginx.conf'), '-e', path.join(folder, 'error.log')]);
    await untilListening(port);
    return new NginxWitness(recorder, nginx, port, folder, seen);
  }

  /** nginx wants methods of capital letters and a Host that is not empty, and takes some names only once; its recorder knows Node's methods only. */
  mayRefuse({ method, headers }: ReadRequest): boolean {
    const singular = headers.map(([name]) => name).filter((name) => onceNames.has(name));
    return !METHODS.includes(method) || method === 'TRACE' || new Set(singular).size < singular.length || headers.some(([name, value]) => name === 'host' && value === '');
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
    // nginx gives up requests of a client that has ended its side: the end is told by a request of ours that asks to close.
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
    await stop(this.#nginx);
    this.#recorder.closeAllConnections();
    this.#recorder.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const onceNames: ReadonlySet<string> = new Set(['host', 'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'range', 'authorization', 'content-type', 'user-agent', 'referer', 'te', 'expect', 'upgrade', 'keep-alive', 'accept-encoding', 'via', 'depth', 'destination', 'overwrite', 'date', 'x-real-ip']);
const parallel = 16;
/** Longer than a busy machine needs. */
const answerMs = 60_000;
const lastTarget = '/witness/last';

function readRequest(request: IncomingMessage, chunks: readonly Buffer[]): ReadRequest {
  return { method: request.method ?? '', target: request.url ?? '', headers: pairUp(request.rawHeaders), body: Buffer.concat(chunks).toString('latin1'), trailers: null };
}

function configuration(folder: string, port: number, recorderPort: number): string {
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log crit;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  client_max_body_size 0; large_client_header_buffers 32 128k; client_header_buffer_size 16k;
  underscores_in_headers on; ignore_invalid_headers off; merge_slashes off; keepalive_requests 100000;
  upstream recorder { server 127.0.0.1:${recorderPort}; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://recorder; proxy_http_version 1.1; proxy_request_buffering on;
      proxy_set_header Host $http_host; proxy_set_header Connection ""; proxy_set_header X-Witness-Port $remote_port;
    }
  }
}
`;
}
