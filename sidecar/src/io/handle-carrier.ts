import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { Carrier, CarrierUser } from './carrier.ts';
import type { LinkContext } from './link-context.ts';
import {
  endOfFile, type HandleAddress, type HandleUser, type NodeHandles, type StreamHandle, type TcpHandle, type TlsHandle, type UserRequest, type WriteRequest,
} from './node-handles.ts';
import type { OutputSlab } from './output-slabs.ts';
import { alpnBytes, type ServerTlsOptions } from './tls-socket.ts';

/** A connection on Node's own handle, without a stream: see node-handles.ts. It reads at once. */
export class HandleCarrier implements Carrier, HandleUser {
  readonly #handles: NodeHandles;
  readonly #context: LinkContext;
  readonly #user: CarrierUser;
  readonly #tcp: TcpHandle;
  #tls: TlsHandle | null = null;
  /** What is read and written: the connection, or its TLS. */
  #stream: StreamHandle;
  #onConnected: (() => void) | null = null;
  #onSecured: (() => void) | null = null;
  #unsent = 0;
  #congested = false;
  /** TLS takes one write at a time: those behind it, and the region that is being written, in order. */
  #regions: Region[] | null = null;
  #endDue = false;
  #endSent = false;
  #ended = false;
  #peerEnded = false;
  #closing = false;

  constructor(tcp: TcpHandle, handles: NodeHandles, context: LinkContext, user: CarrierUser) {
    this.#handles = handles;
    this.#context = context;
    this.#user = user;
    this.#tcp = tcp;
    this.#stream = tcp;
    tcp.user = this;
  }

  /** Goes on with a connection that was accepted. */
  static accepted(tcp: TcpHandle, handles: NodeHandles, context: LinkContext, user: CarrierUser): HandleCarrier {
    const carrier = new HandleCarrier(tcp, handles, context, user);
    tcp.setNoDelay(true);
    carrier.#read();
    return carrier;
  }

  /** Connects to an address, not a name; `onConnected`, or `carrierClosed`, follows. */
  static connect(address: { readonly host: string; readonly port: number }, handles: NodeHandles, context: LinkContext, user: CarrierUser, onConnected: () => void): HandleCarrier {
    const tcp = new handles.Tcp(handles.socketKind);
    const carrier = new HandleCarrier(tcp, handles, context, user);
    carrier.#onConnected = onConnected;
    tcp.setNoDelay(true);
    const request = new handles.ConnectRequest();
    request.user = carrier;
    request.oncomplete = onConnect;
    const failure = net.isIPv6(address.host) ? tcp.connect6(request, address.host, address.port) : tcp.connect(request, address.host, address.port);
    if (failure !== 0) process.nextTick(onConnect.bind(request), failure);
    return carrier;
  }

  onHandleConnected(status: number): void {
    if (this.#closing) return;
    const onConnected = this.#onConnected;
    this.#onConnected = null;
    if (status < 0) {
      this.#fail(status);
      return;
    }
    this.#read();
    onConnected?.();
    this.#sendEnd();
  }

  // --- reading ----------------------------------------------------------------------------------------------------

  #read(): void {
    const stream = this.#stream;
    stream.onread = onRead;
    stream.useUserBuffer(this.#context.readBuffer);
    this.resume();
  }

  onHandleRead(): void {
    const length = this.#handles.state[this.#handles.readLength] as number;
    if (this.#closing || length === 0) return;
    if (length > 0) this.#user.carrierRead(this.#context.readBuffer, length);
    else if (length === endOfFile) this.#peerEnds();
    else this.#fail(length);
  }

  #peerEnds(): void {
    if (this.#peerEnded) return;
    this.#peerEnded = true;
    this.#user.carrierEnded();
    if (this.#ended) this.#close(false);
  }

  pause(): void {
    if (!this.#closing && this.#onConnected === null) this.#stream.readStop();
  }

  resume(): void {
    if (this.#closing || this.#onConnected !== null || this.#peerEnded) return;
    const failure = this.#stream.readStart();
    if (failure < 0 && failure !== alreadyReading) this.#fail(failure);
  }

  // --- writing ----------------------------------------------------------------------------------------------------

  get unsent(): number {
    return this.#unsent;
  }

  write(piece: Uint8Array, slab: OutputSlab): boolean {
    if (this.#closing || this.#endSent) {
      this.#context.slabs.written(slab, true);
      return true;
    }
    if (this.#regions === null) this.#writePlain(piece, slab);
    else {
      this.#unsent += piece.length;
      this.#regions.push({ piece, slab });
      if (this.#regions.length === 1) this.#writeNext(this.#regions);
    }
    if (this.#unsent >= queuedMax) this.#congested = true;
    return !this.#congested;
  }

  /** What the kernel does not take at once is queued by libuv, in order. Only a request that never left this function is used again. */
  #writePlain(piece: Uint8Array, slab: OutputSlab): void {
    const { slabs } = this.#context;
    const handles = this.#handles;
    const request = spareRequest ?? new handles.WriteRequest();
    spareRequest = null;
    const failure = this.#stream.writeBuffer(request, piece);
    if (failure !== 0) {
      slabs.written(slab, true);
      this.#fail(failure);
    } else if (handles.state[handles.writeWasQueued] === 0) {
      spareRequest = request;
      slabs.written(slab, true);
    } else {
      request.oncomplete = onWritten;
      request.user = this;
      request.bytes = piece;
      this.#unsent += piece.length;
      slabs.written(slab, false);
    }
  }

  /** TLS encrypts at once or later: the region stays as it is until it says that it is written (exchange.md section 2). */
  #writeNext(regions: Region[]): void {
    const handles = this.#handles;
    const [first] = regions;
    if (first === undefined) return;
    const request = new handles.WriteRequest();
    request.oncomplete = onWritten;
    request.user = this;
    request.bytes = first.piece;
    const failure = this.#stream.writeBuffer(request, first.piece);
    if (failure !== 0) this.#fail(failure);
    else if (handles.state[handles.writeWasQueued] === 0) this.onHandleWritten(request, 0);
  }

  onHandleWritten(request: WriteRequest, status: number): void {
    this.#unsent -= request.bytes?.length ?? 0;
    if (this.#closing) return;
    if (status < 0) {
      this.#fail(status);
      return;
    }
    const regions = this.#regions;
    if (regions !== null) {
      const done = regions.shift();
      if (done !== undefined) this.#context.slabs.written(done.slab, true);
      this.#writeNext(regions);
      this.#sendEnd();
    }
    if (!this.#congested || this.#unsent > 0) return;
    this.#congested = false;
    this.#user.carrierDrained();
  }

  end(): void {
    this.#endDue = true;
    this.#sendEnd();
  }

  #sendEnd(): void {
    if (!this.#endDue || this.#endSent || this.#closing || this.#onConnected !== null || (this.#regions !== null && this.#regions.length > 0)) return;
    this.#endSent = true;
    const request = new this.#handles.ShutdownRequest();
    request.user = this;
    request.oncomplete = onShutdown;
    // Whatever comes of it, our side has ended: a connection that is gone says so where it is read.
    if (this.#stream.shutdown(request) !== 0) this.onHandleEnded();
  }

  onHandleEnded(): void {
    this.#ended = true;
    if (this.#peerEnded) this.#close(false);
  }

  // --- TLS --------------------------------------------------------------------------------------------------------

  /** Goes on with TLS, as its server; `first` was read before. `onSecured`, or `carrierClosed`, follows. */
  secure(first: Uint8Array, { context, protocols, clientCertificate }: ServerTlsOptions, onSecured: () => void): TlsHandle {
    this.#tcp.readStop();
    const tls = this.#handles.wrapTls(this.#tcp, context.context as object, true, false);
    this.#tls = tls;
    this.#stream = tls;
    this.#regions = [];
    this.#onSecured = onSecured;
    tls.user = this;
    tls.onhandshakestart = onHandshakeStart;
    tls.onhandshakedone = onHandshakeDone;
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- a handle, not an EventTarget
    tls.onerror = onTlsError;
    // OpenSSL ends the handshake where no certificate comes; what is wrong with one is the caller's to judge.
    if (clientCertificate !== 'none') tls.setVerifyMode(true, clientCertificate === 'required');
    if (protocols.length > 0) tls.setALPNProtocols(alpnBytes(protocols));
    this.#read();
    if (!this.#closing) tls.receive(first);
    return tls;
  }

  /** A handshake on a connection that had one: nobody asks for it but who wants to keep us busy. */
  onHandshakeBegun(): void {
    if (this.#onSecured === null) this.#failAs('ERR_TLS_SESSION_ATTACK');
  }

  onHandshakeDone(): void {
    const onSecured = this.#onSecured;
    this.#onSecured = null;
    if (!this.#closing) onSecured?.();
  }

  onHandshakeFailed(error: NodeJS.ErrnoException): void {
    this.#failAs(error.code ?? error.message);
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  #fail(status: number): void {
    this.#failAs(getSystemErrorName(status));
  }

  #failAs(code: string): void {
    if (this.#closing) return;
    this.#user.carrierFailed(code);
    this.#close(true);
  }

  destroy(): void {
    this.#close(false);
  }

  reset(): void {
    if (this.#closing) return;
    const closed = this.#closes(false);
    // It cannot be reset before there is a connection, or while our end is on its way: Node would neither do it nor close it any more.
    if (this.#onConnected !== null || (this.#endSent && !this.#ended)) this.#tcp.close(closed);
    else if (this.#tcp.reset(closed) !== 0) process.nextTick(closed);
  }

  #close(failed: boolean): void {
    if (!this.#closing) this.#tcp.close(this.#closes(failed));
  }

  #closes(failed: boolean): () => void {
    this.#closing = true;
    return () => {
      const tls = this.#tls;
      this.#tcp.user = null;
      if (tls !== null) {
        // What is left of it waits for a full collection, which must not find everything that belonged to the connection behind it.
        tls.user = null;
        tls.destroySSL();
      }
      for (const { slab } of this.#regions ?? noRegions) this.#context.slabs.written(slab, false);
      this.#regions = null;
      this.#user.carrierClosed(failed);
    };
  }

  // --- the connection ---------------------------------------------------------------------------------------------

  get remoteAddress(): string {
    return this.#nameOf('getpeername').address ?? '';
  }

  get remotePort(): number {
    return this.#nameOf('getpeername').port ?? 0;
  }

  get localAddress(): string {
    return this.#nameOf('getsockname').address ?? '';
  }

  get localPort(): number {
    return this.#nameOf('getsockname').port ?? 0;
  }

  #nameOf(which: 'getpeername' | 'getsockname'): HandleAddress {
    const found: HandleAddress = {};
    if (!this.#closing) this.#tcp[which](found);
    return found;
  }

  setKeepAlive(delayMs: number): void {
    if (!this.#closing) this.#tcp.setKeepAlive(true, Math.trunc(delayMs / 1000));
  }
}

interface Region {
  readonly piece: Uint8Array;
  readonly slab: OutputSlab;
}

function onRead(this: StreamHandle): undefined {
  this.user?.onHandleRead();
}

function onWritten(this: WriteRequest, status: number): void {
  this.user?.onHandleWritten(this, status);
}

function onShutdown(this: UserRequest): void {
  this.user?.onHandleEnded();
}

function onConnect(this: UserRequest, status: number): void {
  this.user?.onHandleConnected(status);
}

function onHandshakeStart(this: TlsHandle): void {
  this.user?.onHandshakeBegun();
}

function onHandshakeDone(this: TlsHandle): void {
  this.user?.onHandshakeDone();
}

function onTlsError(this: TlsHandle, error: NodeJS.ErrnoException): void {
  this.user?.onHandshakeFailed(error);
}

/** For the next write; one that was queued is never used again. */
let spareRequest: WriteRequest | null = null;
/** As much as Node's streams queue before they ask to hold back. */
const queuedMax = 64 * 1024;
/** EALREADY: it reads. */
const alreadyReading = -114;
const noRegions: readonly Region[] = [];
