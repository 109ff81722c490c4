import net from 'node:net';
import type { TextBuffer } from '@remora/http/byte-text';
import { copyBytes } from '@remora/http/received-head';
import type { LinkContext } from './link-context.ts';
import type { LinkOwner } from './link-owner.ts';
import { LinkSecurity, type SecuredLink } from './link-security.ts';
import type { OutputSlab } from './output-slabs.ts';
import { plainIpAddress } from './plain-ip-address.ts';
import { readFromHandle, writeError, writeQueued, writeRefused, writeTaken, writeToHandle, type HandleUser } from './socket-handle.ts';
import { wrapServer, type ServerTlsOptions } from './tls-socket.ts';

/**
 * A socket as the codecs see it; with link-security.ts and connect-tls.ts the only file that touches sockets. Output is gathered during a turn and written once.
 * Reads arrive in one shared buffer.
 */
export class Link implements HandleUser, SecuredLink {
  owner: LinkOwner;
  /** More is queued than the kernel takes: the codec holds back its producers until `onDrain`. */
  congested = false;
  closed = false;
  bytesRead = 0;
  /** Why the connection broke, as the code of the system or of OpenSSL; '' where it did not. */
  failure = '';
  /** What it has of TLS; null without. Set here, and by who dials with TLS. */
  security: LinkSecurity | null = null;

  readonly #context: LinkContext;
  #socket: net.Socket;
  /** The TCP connection below TLS. */
  #raw: net.Socket;
  /** Bytes written past the socket's stream that the kernel has not taken. */
  #queued = 0;
  #slab: OutputSlab | null = null;
  #outFrom = 0;
  #outEnd = 0;
  #dirty = false;
  #paused = false;
  #endAfterFlush = false;

  /** Around a socket that has yet to connect. Others are made by `accepted` and `connect`. */
  constructor(socket: net.Socket, context: LinkContext, owner: LinkOwner) {
    this.#socket = socket;
    this.#raw = socket;
    this.#context = context;
    this.owner = owner;
    this.#listen(socket);
  }

  #listen(socket: net.Socket): void {
    socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    socket.on('end', () => {
      if (socket === this.#socket) this.tell((owner) => owner.onEnd());
    });
    socket.on('drain', () => {
      if (socket !== this.#socket) return;
      this.congested = false;
      this.tell((owner) => owner.onDrain());
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
    socket.on('data', (chunk: TextBuffer) => link.deliver(chunk, chunk.length));
    socket.resume();
    return link;
  }

  /** Accepted sockets ignore `onread`: a new Socket around the same handle does not, which saves 4 to 5 µs per request. */
  static #transplanted(socket: net.Socket, context: LinkContext, owner: LinkOwner): Link {
    const { _handle: handle } = socket as unknown as HandleOwner;
    (socket as unknown as HandleOwner)._handle = null;
    const holder: LinkHolder = { link: null };
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
    const holder: LinkHolder = { link: null };
    const socket = context.dial({
      host: address.host, port: address.port, noDelay: true, allowHalfOpen: true, onread: readInto(context.readBuffer, holder),
    } as net.NetConnectOpts);
    const link = new Link(socket, context, owner);
    holder.link = link;
    socket.on('connect', () => {
      readFromHandle(socket, link);
      if (first !== null) link.send(first, 0, first.length);
      link.tell((connected) => connected.onConnected?.(''));
    });
    return link;
  }

  /**
   * Goes on with TLS on an accepted connection, whose first bytes are given back; `onSecured` or `onClosed` follows. What came before is
   * read by the handshake, so nothing may have been written yet.
   */
  secure(first: Uint8Array, options: ServerTlsOptions): void {
    const security = new LinkSecurity(wrapServer(this.#raw, first, options), this.#context.slabs);
    this.goOnWith(security);
    security.readInto(this.#context.readBuffer, this);
    security.socket.once('secure', () => this.tell((owner) => owner.onSecured?.()));
    security.socket.resume();
  }

  /** From here on this TLS, which stands on the socket as it was so far, is the link's. */
  goOnWith(security: LinkSecurity): void {
    const { socket } = security;
    this.#socket = socket;
    this.security = security;
    this.#listen(socket);
    // Without a tls.Server, errors behind the handshake are told by this event only.
    socket.on('_tlsError', (error: NodeJS.ErrnoException) => {
      this.#failed(error);
      socket.destroy();
    });
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
    if (this.security === null) this.#context.slabs.written(slab, this.#writePlain(piece));
    else if (!this.security.write(slab, piece)) this.congested = true;
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
      this.tell((owner) => owner.onDrain());
    }
  }

  /** For `readFromHandle`. */
  onHandleRead(length: number): void {
    this.deliver(this.#context.readBuffer, length);
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
    if (this.security === null || this.#raw !== this.#socket) this.#raw.resetAndDestroy();
    else this.#socket.destroy();
  }

  setKeepAlive(delayMs: number): void {
    this.#raw.setKeepAlive(true, delayMs);
  }

  /** Bytes were read; they are borrowed for the call. */
  deliver(bytes: TextBuffer, length: number): void {
    if (this.closed) return;
    this.bytesRead += length;
    this.owner.onRead(bytes, length);
    this.#context.turn.end();
  }

  /** Runs a callback of the owner as a turn. */
  tell(callback: (owner: LinkOwner) => void): void {
    if (this.closed) return;
    callback(this.owner);
    this.#context.turn.end();
  }

  #close(failed: boolean): void {
    if (this.closed) return;
    this.closed = true;
    this.security?.release();
    this.owner.onClosed(failed);
    this.#context.turn.end();
  }
}

interface HandleOwner {
  _handle: unknown;
}

/** A piece above this is written at once: more of them would only fill memory. */
const flushAt = 16 * 1024;

/** Where the callback of `readInto` finds its link, which is made around the socket. */
export interface LinkHolder {
  link: Link | null;
}

/** For the option `onread` of a socket: every read goes to `buffer`. */
export function readInto(buffer: TextBuffer, holder: LinkHolder): object {
  return {
    buffer,
    callback(length: number, bytes: TextBuffer): boolean {
      if (holder.link !== null) holder.link.deliver(bytes, length);
      return true;
    },
  };
}
