import type net from 'node:net';
import type tls from 'node:tls';
import type { TextBuffer } from '@remora/http/byte-text';
import type { Carrier, CarrierUser } from './carrier.ts';
import type { OutputSlab, OutputSlabs } from './output-slabs.ts';
import { wrapServer, type ServerTlsOptions } from './tls-socket.ts';

/** A connection that is a stream of Node: where it is one of TLS that we opened, one that is not of the network, or where Node's handles are not to be had. */
export class StreamCarrier implements Carrier {
  readonly #user: CarrierUser;
  readonly #slabs: OutputSlabs;
  #socket: net.Socket;
  /** The TCP connection below TLS. */
  readonly #raw: net.Socket;
  /** TLS only: slabs with regions that are not written yet, in order (exchange.md section 2). */
  #inFlight: OutputSlab[] | null = null;
  readonly #onWritten = (): void => {
    const slab = this.#inFlight?.shift();
    if (slab !== undefined) this.#slabs.written(slab, true);
  };

  constructor(socket: net.Socket, slabs: OutputSlabs, user: CarrierUser) {
    this.#socket = socket;
    this.#raw = socket;
    this.#slabs = slabs;
    this.#user = user;
    this.#listen(socket);
  }

  #listen(socket: net.Socket): void {
    socket.on('error', (error: NodeJS.ErrnoException) => this.#user.carrierFailed(error.code ?? error.message));
    socket.on('end', () => {
      if (socket === this.#socket) this.#user.carrierEnded();
    });
    socket.on('drain', () => {
      if (socket === this.#socket) this.#user.carrierDrained();
    });
    // Below TLS the TCP connection closes first: what was decrypted may still have to be read.
    socket.on('close', (failed: boolean) => {
      if (socket === this.#socket) this.#closed(failed);
    });
  }

  /** Has what is read go to the user, where the socket was not made to do that by itself. */
  read(): void {
    this.#socket.on('data', (bytes: TextBuffer) => this.#user.carrierRead(bytes, bytes.length));
  }

  /** Goes on with TLS, as its server; `first` was read before. `onSecured`, or `carrierClosed`, follows. */
  secure(first: Uint8Array, options: ServerTlsOptions, onSecured: () => void): tls.TLSSocket {
    const socket = wrapServer(this.#raw, first, options);
    this.goOnWith(socket);
    socket.once('secure', onSecured);
    return socket;
  }

  /** From here on this TLS, which stands on the socket as it was so far, carries the link. */
  goOnWith(socket: tls.TLSSocket): void {
    this.#socket = socket;
    this.isSecured();
    this.#listen(socket);
    // Without a tls.Server, errors behind the handshake are told by this event only.
    socket.on('_tlsError', (error: NodeJS.ErrnoException) => {
      this.#user.carrierFailed(error.code ?? error.message);
      socket.destroy();
    });
    this.read();
  }

  /** What is written is encrypted, and read from its slab later. */
  isSecured(): void {
    this.#inFlight = [];
  }

  write(piece: Uint8Array, slab: OutputSlab): boolean {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) {
      this.#slabs.written(slab, true);
      return true;
    }
    if (this.#inFlight !== null) {
      this.#inFlight.push(slab);
      return socket.write(piece, this.#onWritten);
    }
    const more = socket.write(piece);
    this.#slabs.written(slab, socket.writableLength === 0);
    return more;
  }

  #closed(failed: boolean): void {
    const unwritten = this.#inFlight;
    if (unwritten !== null) {
      this.#inFlight = [];
      for (const slab of unwritten) this.#slabs.written(slab, false);
    }
    this.#user.carrierClosed(failed);
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  get localAddress(): string {
    return this.#raw.localAddress ?? this.#socket.localAddress ?? '';
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (!this.#socket.writableEnded) this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** TLS sockets cannot be reset; the TCP connection below can, and takes them with it. */
  reset(): void {
    if (this.#inFlight === null || this.#raw !== this.#socket) this.#raw.resetAndDestroy();
    else this.#socket.destroy();
  }

  setKeepAlive(delayMs: number): void {
    this.#raw.setKeepAlive(true, delayMs);
  }
}
