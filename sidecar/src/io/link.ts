import net from 'node:net';
import { allocateText, type TextBuffer } from '@remora/http/byte-text';
import { copyBytes } from '@remora/http/received-head';
import type { OutputSlab, OutputSlabs } from './output-slabs.ts';
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
  onConnected?(): void;
}

/** What the links of a thread share. */
export interface LinkContext {
  /** Opens a connection; replaced where there is no network. */
  readonly dial: (options: net.NetConnectOpts) => net.Socket;
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
export class Link {
  owner: LinkOwner;
  /** More is queued than the kernel takes: the codec holds back its producers until `onDrain`. */
  congested = false;
  closed = false;
  bytesRead = 0;

  readonly #context: LinkContext;
  readonly #socket: net.Socket;
  #slab: OutputSlab | null = null;
  #outFrom = 0;
  #outEnd = 0;
  #dirty = false;
  #paused = false;
  #endAfterFlush = false;

  private constructor(socket: net.Socket, context: LinkContext, owner: LinkOwner) {
    this.#socket = socket;
    this.#context = context;
    this.owner = owner;
    socket.on('error', ignoreError);
    socket.on('end', () => this.#turn((owner) => owner.onEnd()));
    socket.on('drain', () => {
      this.congested = false;
      this.#turn((owner) => owner.onDrain());
    });
    socket.on('close', (failed: boolean) => this.#close(failed));
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
    // Without its handle the accepted socket only takes itself off the server's count.
    socket.destroy();
    taken.resume();
    return link;
  }

  static connect(address: { readonly host: string; readonly port: number }, context: LinkContext, owner: LinkOwner): Link {
    const holder: { link: Link | null } = { link: null };
    const socket = context.dial({
      host: address.host, port: address.port, noDelay: true, allowHalfOpen: true, onread: readInto(context.readBuffer, holder),
    } as net.NetConnectOpts);
    const link = new Link(socket, context, owner);
    holder.link = link;
    socket.on('connect', () => {
      link.#turn((connected) => connected.onConnected?.());
    });
    return link;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? '';
  }

  get remotePort(): number {
    return this.#socket.remotePort ?? 0;
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsent(): number {
    return this.closed ? 0 : this.#socket.writableLength;
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
    if (this.#endAfterFlush && !this.closed) this.#socket.end();
  }

  #write(slab: OutputSlab): void {
    if (this.closed || this.#outEnd === this.#outFrom || this.#socket.destroyed) {
      this.#context.slabs.written(slab, true);
      return;
    }
    if (!this.#socket.write(slab.bytes.subarray(this.#outFrom, this.#outEnd))) this.congested = true;
    this.#context.slabs.written(slab, this.#socket.writableLength === 0);
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
    if (!this.closed) this.#socket.resetAndDestroy();
  }

  setKeepAlive(delayMs: number): void {
    this.#socket.setKeepAlive(true, delayMs);
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
    this.owner.onClosed(failed);
    this.#context.turn.end();
  }

  /** For `readInto`. */
  static deliver(link: Link, bytes: TextBuffer, length: number): void {
    link.#read(bytes, length);
  }
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

/** `close` follows with `failed`: that is where it is dealt with. */
function ignoreError(): void {}
