import net from 'node:net';
import tls from 'node:tls';
import type { X509Certificate } from 'node:crypto';
import { allocateText, type TextBuffer } from '@remora/http/byte-text';
import { copyBytes } from '@remora/http/received-head';
import type { OutputSlab, OutputSlabs } from './output-slabs.ts';
import { plainIpAddress } from './plain-ip-address.ts';
import { readIntoBuffer } from './read-into-buffer.ts';
import { readFromHandle, writeError, writeQueued, writeRefused, writeTaken, writeToHandle, type HandleUser } from './socket-handle.ts';
import {
  noContextFailure, openClient, protocolFailure, verifyError, wrapServer, type ClientTlsOptions, type ServerTlsOptions,
} from './tls-socket.ts';
import type { Turn } from './turn.ts';

/** The connection's codec. Called within a turn; the link ends the turn. */
export interface LinkOwner {
  /** `bytes[0, length)` are borrowed for the call. */
  onRead(bytes: TextBuffer, length: number): void;
  /** The peer has ended its side. */
  onEnd(): void;
  /** Everything that was queued has been written. */
  onDrain(): void;
  /** The last call: the connection is gone, `failed` where not in an orderly way. */
  onClosed(failed: boolean): void;
  /** A connection that this side opened can be used: with TLS, after the handshake; `protocol` is what ALPN chose, '' for none. */
  onConnected?(protocol: string): void;
  /** The handshake of an accepted connection is done; `link.tls` tells about it. */
  onSecured?(): void;
}

/** What a handshake settled. */
export interface LinkTls {
  /** What ALPN chose, '' for none. */
  readonly protocol: string;
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly version: string;
  readonly resumed: boolean;
}

/** What the links of a thread share. */
export interface LinkContext {
  /** Opens a connection; replaced where there is no network. */
  readonly dial: (options: net.NetConnectOpts) => net.Socket;
  /** The same with TLS; `tls.connect` where it is not given. */
  readonly dialTls?: (options: tls.ConnectionOptions) => tls.TLSSocket;
  readonly turn: Turn;
  readonly slabs: OutputSlabs;
  /** Every socket of the thread reads into it; it is valid during the callback only. */
  readonly readBuffer: TextBuffer;
}

export const readBufferBytes = 64 * 1024;

export function makeReadBuffer(): TextBuffer {
  return allocateText(readBufferBytes);
}

/**
 * A socket as the codecs see it; the only file that touches `node:net` sockets. Output is gathered during a turn and written once.
 * Reads arrive in one shared buffer.
 */
export class Link implements HandleUser {
  owner: LinkOwner;
  /** More is queued than the kernel takes: the codec holds back its producers until `onDrain`. */
  congested = false;
  closed = false;
  bytesRead = 0;
  /** Why the connection broke, as the code of the system or of OpenSSL; '' where it did not. */
  failure = '';

  readonly #context: LinkContext;
  #socket: net.Socket;
  /** The TCP connection below TLS. */
  #raw: net.Socket;
  #tls: tls.TLSSocket | null = null;
  /** A handshake that this side began has ended well. */
  #established = false;
  /** TLS only: slabs with regions that are not written yet, in order (exchange.md section 2). */
  #inFlight: OutputSlab[] | null = null;
  /** Bytes written past the socket's stream that the kernel has not taken. */
  #queued = 0;
  readonly #onWritten = (): void => {
    const slab = this.#inFlight?.shift();
    if (slab !== undefined) this.#context.slabs.written(slab, true);
  };
  #slab: OutputSlab | null = null;
  #outFrom = 0;
  #outEnd = 0;
  #dirty = false;
  #paused = false;
  #endAfterFlush = false;

  private constructor(socket: net.Socket, context: LinkContext, owner: LinkOwner) {
    this.#socket = socket;
    this.#raw = socket;
    this.#context = context;
    this.owner = owner;
    this.#listen(socket);
  }

  #listen(socket: net.Socket): void {
    socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    socket.on('end', () => {
      if (socket === this.#socket) this.#turn((owner) => owner.onEnd());
    });
    socket.on('drain', () => {
      if (socket !== this.#socket) return;
      this.congested = false;
      this.#turn((owner) => owner.onDrain());
    });
    // Below TLS the TCP connection closes first: what was decrypted may still have to be read.
    socket.on('close', (failed: boolean) => {
      if (socket === this.#socket) this.#close(failed);
    });
  }

  /** `close` follows with `failed`: that is where it is dealt with. */
  #failed(error: NodeJS.ErrnoException): void {
    if (this.failure === '') this.failure = error.code ?? error.message;
  }

  /** Takes over a connection that `net.Server` accepted. */
  static accepted(socket: net.Socket, context: LinkContext, owner: LinkOwner, transplant: boolean): Link {
    if (transplant) return Link.#transplanted(socket, context, owner);
    const link = new Link(socket, context, owner);
    socket.on('data', (chunk: TextBuffer) => link.#read(chunk, chunk.length));
    socket.resume();
    return link;
  }

  /** Accepted sockets ignore `onread`: a new Socket around the same handle does not, which saves 4 to 5 µs per request. */
  static #transplanted(socket: net.Socket, context: LinkContext, owner: LinkOwner): Link {
    const { _handle: handle } = socket as unknown as HandleOwner;
    (socket as unknown as HandleOwner)._handle = null;
    const holder: { link: Link | null } = { link: null };
    const taken = new net.Socket({ handle, allowHalfOpen: true, onread: readInto(context.readBuffer, holder) } as net.SocketConstructorOpts);
    const link = new Link(taken, context, owner);
    holder.link = link;
    readFromHandle(taken, link);
    // Without its handle the accepted socket only takes itself off the server's count.
    socket.destroy();
    taken.resume();
    return link;
  }

  /** `first`: sent before anything else, with what the owner sends at once. */
  static connect(address: { readonly host: string; readonly port: number }, context: LinkContext, owner: LinkOwner, first: Uint8Array | null = null): Link {
    const holder: { link: Link | null } = { link: null };
    const socket = context.dial({
      host: address.host, port: address.port, noDelay: true, allowHalfOpen: true, onread: readInto(context.readBuffer, holder),
    } as net.NetConnectOpts);
    const link = new Link(socket, context, owner);
    holder.link = link;
    socket.on('connect', () => {
      readFromHandle(socket, link);
      if (first !== null) link.send(first, 0, first.length);
      link.#turn((connected) => connected.onConnected?.(''));
    });
    return link;
  }

  /**
   * Goes on with TLS on an accepted connection, whose first bytes are given back; `onSecured` or `onClosed` follows. What came before is
   * read by the handshake, so nothing may have been written yet.
   */
  secure(first: Uint8Array, options: ServerTlsOptions): void {
    const socket = wrapServer(this.#raw, first, options);
    this.#useTls(socket);
    this.#readTls(socket);
    socket.once('secure', () => this.#turn((owner) => owner.onSecured?.()));
    socket.resume();
  }

  #readTls(socket: tls.TLSSocket): void {
    const { readBuffer } = this.#context;
    if (readIntoBuffer(socket, readBuffer, (length) => this.#read(readBuffer, length))) return;
    socket.on('data', (bytes: TextBuffer) => this.#read(bytes, bytes.length));
  }

  #useTls(socket: tls.TLSSocket): void {
    this.#socket = socket;
    this.#tls = socket;
    this.#inFlight = [];
    this.#listen(socket);
    // Without a tls.Server, errors behind the handshake are told by this event only.
    socket.on('_tlsError', (error: NodeJS.ErrnoException) => {
      this.#failed(error);
      socket.destroy();
    });
  }

  /** Opens a connection with TLS; `onConnected` comes when the peer has shown that it is who it should be. */
  static connectTls(address: { readonly host: string; readonly port: number }, options: ClientTlsOptions, context: LinkContext, owner: LinkOwner): Link {
    const holder: { link: Link | null } = { link: null };
    const dialTls = context.dialTls ?? tls.connect;
    if (options.header !== null) return Link.#connectBehind(options.header, address, { options, context, owner, dialTls });
    const socket = openClient(address, options, dialTls, { onread: readInto(context.readBuffer, holder) });
    const link = new Link(socket, context, owner);
    link.#tls = socket;
    link.#inFlight = [];
    holder.link = link;
    link.#awaitSecured(socket, options);
    return link;
  }

  /** TLS begins behind a header that goes in the clear. */
  static #connectBehind(header: Uint8Array, address: { readonly host: string; readonly port: number }, { options, context, owner, dialTls }: Dialing): Link {
    const raw = context.dial({ host: address.host, port: address.port, noDelay: true, allowHalfOpen: true });
    const link = new Link(raw, context, owner);
    const never = (): void => {
      if (link.#tls === null) options.onEnd('failed');
    };
    raw.once('close', never);
    raw.once('connect', () => {
      raw.write(header);
      const socket = openClient(address, options, dialTls, { socket: raw });
      link.#useTls(socket);
      link.#readTls(socket);
      link.#awaitSecured(socket, options);
    });
    return link;
  }

  #awaitSecured(socket: tls.TLSSocket, options: ClientTlsOptions): void {
    if (options.context === null) socket.destroy(Object.assign(new Error('no context'), { code: noContextFailure }));
    socket.on('session', options.onSession);
    socket.on('secureConnect', () => this.#secured(options));
    socket.once('close', () => {
      if (!this.#established) options.onEnd('failed');
    });
  }

  #secured({ required, onEnd }: ClientTlsOptions): void {
    const { protocol, resumed } = this.tls ?? noTls;
    if (required !== '' && protocol !== required) {
      this.failure = protocolFailure;
      this.#socket.destroy();
      return;
    }
    this.#established = true;
    onEnd(resumed ? 'resumed' : 'full');
    this.#turn((connected) => connected.onConnected?.(protocol));
  }

  /** What the handshake settled; null without TLS. */
  get tls(): LinkTls | null {
    const socket = this.#tls;
    if (socket === null) return null;
    return { protocol: socket.alpnProtocol || '', version: socket.getProtocol() ?? '', resumed: socket.isSessionReused() };
  }

  /** The certificate that the peer showed, also when it resumes; undefined where it showed none. */
  get peerCertificate(): X509Certificate | undefined {
    return this.#tls?.getPeerX509Certificate();
  }

  /** Why the peer's chain is not trusted, as OpenSSL's code; '' where it is. */
  get peerProblem(): string {
    return this.#tls === null ? 'UNKNOWN' : verifyError(this.#tls);
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  get localAddress(): string {
    return plainIpAddress(this.#raw.localAddress ?? this.#socket.localAddress ?? '');
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsent(): number {
    return this.closed ? 0 : this.#socket.writableLength + this.#queued;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Room for `bytes` more bytes of output, from `outAt`; then `wrote`. */
  reserve(bytes: number): TextBuffer {
    const slab = this.#slab;
    if (slab !== null) {
      if (slab.top === this.#outEnd && slab.bytes.length - slab.top >= bytes) return slab.bytes;
      this.flush();
    }
    const next = this.#context.slabs.take(bytes);
    next.open++;
    this.#slab = next;
    this.#outFrom = next.top;
    this.#outEnd = next.top;
    this.#markDirty();
    return next.bytes;
  }

  get outAt(): number {
    return this.#outEnd;
  }

  /** Output now ends at `end`. */
  wrote(end: number): void {
    this.#outEnd = end;
    (this.#slab as OutputSlab).top = end;
  }

  /** Copies bytes to the output. False: hold back until `onDrain`. */
  send(bytes: Uint8Array, at: number, to: number): boolean {
    const length = to - at;
    const out = this.reserve(length);
    copyBytes(bytes, at, to, out, this.#outEnd);
    this.wrote(this.#outEnd + length);
    if (length > flushAt) this.flush();
    return !this.congested;
  }

  /** Writes what was gathered. Called at the end of the turn. */
  flush(): void {
    this.#dirty = false;
    const slab = this.#slab;
    this.#slab = null;
    if (slab !== null) this.#write(slab);
    if (!this.#endAfterFlush) return;
    this.#endAfterFlush = false;
    if (!this.closed && !this.#socket.writableEnded) this.#socket.end();
  }

  #write(slab: OutputSlab): void {
    if (this.closed || this.#outEnd === this.#outFrom || this.#socket.destroyed) {
      this.#context.slabs.written(slab, true);
      return;
    }
    const piece = slab.bytes.subarray(this.#outFrom, this.#outEnd);
    if (this.#inFlight === null) {
      this.#context.slabs.written(slab, this.#writePlain(piece));
      return;
    }
    // What TLS has not encrypted yet is read from the slab later: it stays as it is until the write is done.
    this.#inFlight.push(slab);
    if (!this.#socket.write(piece, this.#onWritten)) this.congested = true;
  }

  /** Whether the kernel has all of it, or never will. */
  #writePlain(piece: Uint8Array): boolean {
    const socket = this.#socket;
    const outcome = writeToHandle(socket, piece, this);
    if (outcome === writeTaken) return true;
    if (outcome === writeQueued) {
      this.#queued += piece.length;
      if (this.#queued >= socket.writableHighWaterMark) this.congested = true;
      return false;
    }
    if (outcome === writeRefused) {
      if (!socket.write(piece)) this.congested = true;
      return socket.writableLength === 0;
    }
    socket.destroy(writeError(outcome));
    return true;
  }

  /** For `writeToHandle`. */
  onHandleWritten(bytes: number, status: number): void {
    this.#queued -= bytes;
    if (this.closed || this.#socket.destroyed) return;
    if (status < 0) this.#socket.destroy(writeError(status));
    else if (this.congested && this.#queued === 0) {
      this.congested = false;
      this.#turn((owner) => owner.onDrain());
    }
  }

  /** For `readFromHandle`. */
  onHandleRead(length: number): void {
    this.#read(this.#context.readBuffer, length);
  }

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#context.turn.dirty(this);
  }

  pause(): void {
    if (this.#paused || this.closed) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.closed) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** Ends our side after what is gathered; reading goes on. */
  end(): void {
    this.#endAfterFlush = true;
    this.#markDirty();
  }

  /** Closes at once; queued output is lost. */
  destroy(): void {
    if (!this.closed) this.#socket.destroy();
  }

  /** Closes at once in a way that the peer cannot take for an orderly end. */
  abort(): void {
    if (this.closed) return;
    // TLS sockets cannot be reset; the TCP connection below can, and takes them with it.
    if (this.#tls === null || this.#raw !== this.#socket) this.#raw.resetAndDestroy();
    else this.#socket.destroy();
  }

  setKeepAlive(delayMs: number): void {
    this.#raw.setKeepAlive(true, delayMs);
  }

  #read(bytes: TextBuffer, length: number): void {
    if (this.closed) return;
    this.bytesRead += length;
    this.owner.onRead(bytes, length);
    this.#context.turn.end();
  }

  /** Runs a callback of the owner as a turn. */
  #turn(callback: (owner: LinkOwner) => void): void {
    if (this.closed) return;
    callback(this.owner);
    this.#context.turn.end();
  }

  #close(failed: boolean): void {
    if (this.closed) return;
    this.closed = true;
    const unwritten = this.#inFlight;
    if (unwritten !== null) {
      this.#inFlight = [];
      for (const slab of unwritten) this.#context.slabs.written(slab, false);
    }
    this.owner.onClosed(failed);
    this.#context.turn.end();
  }

  /** For `readInto`. */
  static deliver(link: Link, bytes: TextBuffer, length: number): void {
    link.#read(bytes, length);
  }
}

interface Dialing {
  readonly options: ClientTlsOptions;
  readonly context: LinkContext;
  readonly owner: LinkOwner;
  readonly dialTls: (options: tls.ConnectionOptions) => tls.TLSSocket;
}

interface HandleOwner {
  _handle: unknown;
}

/** A piece above this is written at once: more of them would only fill memory. */
const flushAt = 16 * 1024;

function readInto(buffer: TextBuffer, holder: { readonly link: Link | null }): object {
  return {
    buffer,
    callback(length: number, bytes: TextBuffer): boolean {
      if (holder.link !== null) Link.deliver(holder.link, bytes, length);
      return true;
    },
  };
}

const noTls: LinkTls = { protocol: '', version: '', resumed: false };
