import net from 'node:net';
import type { TextBuffer } from '@remora/http/byte-text';
import { copyBytes } from '@remora/http/received-head';
import type { Carrier, CarrierUser } from './carrier.ts';
import { HandleCarrier } from './handle-carrier.ts';
import type { LinkContext } from './link-context.ts';
import type { LinkOwner } from './link-owner.ts';
import { LinkSecurity } from './link-security.ts';
import { nodeHandles, type NodeHandles, type TcpHandle } from './node-handles.ts';
import type { OutputSlab } from './output-slabs.ts';
import { plainIpAddress } from './plain-ip-address.ts';
import { StreamCarrier } from './stream-carrier.ts';
import type { ServerTlsOptions } from './tls-socket.ts';

/** A connection as the codecs see it. Output is gathered during a turn and written once. Reads arrive in one shared buffer. */
export class Link implements CarrierUser {
  owner: LinkOwner;
  /** More is queued than the kernel takes: the codec holds back its producers until `onDrain`. */
  congested = false;
  closed = false;
  bytesRead = 0;
  /** Why the connection broke, as the code of the system or of OpenSSL; '' where it did not. */
  failure = '';
  /** What it has of TLS; null without. */
  security: LinkSecurity | null = null;

  readonly #context: LinkContext;
  #carrier: Carrier = nothing;
  #slab: OutputSlab | null = null;
  #outFrom = 0;
  #outEnd = 0;
  #dirty = false;
  #paused = false;
  #endAfterFlush = false;

  /** Others than `accepted` and `connect` make it set what carries it too. */
  constructor(context: LinkContext, owner: LinkOwner) {
    this.#context = context;
    this.owner = owner;
  }

  /** Takes over a connection that was accepted, as a handle of Node's or as its stream. */
  static accepted(connection: TcpHandle | net.Socket, context: LinkContext, owner: LinkOwner): Link {
    const link = new Link(context, owner);
    // What is no handle is a stream, whoever made it: networks in memory have their own.
    if (nodeHandles !== null && connection instanceof nodeHandles.Tcp) {
      link.#carrier = HandleCarrier.accepted(connection, nodeHandles, context, link);
      return link;
    }
    const carrier = new StreamCarrier(connection as net.Socket, context.slabs, link);
    link.#carrier = carrier;
    carrier.read();
    carrier.resume();
    return link;
  }

  /** `first`: sent before anything else, with what the owner sends at once. */
  static connect(address: { readonly host: string; readonly port: number }, context: LinkContext, owner: LinkOwner, first: Uint8Array | null = null): Link {
    const link = new Link(context, owner);
    const onConnected = (): void => {
      if (first !== null) link.send(first, 0, first.length);
      link.tell((connected) => connected.onConnected?.(''));
    };
    const handles = handlesFor(context, address.host);
    if (handles !== null) {
      link.#carrier = HandleCarrier.connect(address, handles, context, link, onConnected);
      return link;
    }
    const socket = context.dial({ host: address.host, port: address.port, noDelay: true, allowHalfOpen: true, onread: readInto(context.readBuffer, link) } as net.NetConnectOpts);
    link.#carrier = new StreamCarrier(socket, context.slabs, link);
    socket.on('connect', onConnected);
    return link;
  }

  /** Of a link that was made without. */
  set carrier(carrier: Carrier) {
    this.#carrier = carrier;
  }

  /**
   * Goes on with TLS on an accepted connection, whose first bytes are given back; `onSecured` or `onClosed` follows. What came before is
   * read by the handshake, so nothing may have been written yet.
   */
  secure(first: Uint8Array, options: ServerTlsOptions): void {
    const carrier = this.#carrier;
    if (!(carrier instanceof HandleCarrier || carrier instanceof StreamCarrier)) throw new Error('this link cannot have TLS');
    this.security = new LinkSecurity(carrier.secure(first, options, () => this.tell((owner) => owner.onSecured?.())));
  }

  get remoteAddress(): string {
    return plainIpAddress(this.#carrier.remoteAddress);
  }

  get remotePort(): number {
    return this.#carrier.remotePort;
  }

  get localAddress(): string {
    return plainIpAddress(this.#carrier.localAddress);
  }

  get localPort(): number {
    return this.#carrier.localPort;
  }

  /** Bytes that the kernel has not taken yet. */
  get unsent(): number {
    return this.closed ? 0 : this.#carrier.unsent;
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
    if (!this.closed) this.#carrier.end();
  }

  #write(slab: OutputSlab): void {
    if (this.closed || this.#outEnd === this.#outFrom) this.#context.slabs.written(slab, true);
    else if (!this.#carrier.write(slab.bytes.subarray(this.#outFrom, this.#outEnd), slab)) this.congested = true;
  }

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#context.turn.dirty(this);
  }

  pause(): void {
    if (this.#paused || this.closed) return;
    this.#paused = true;
    this.#carrier.pause();
  }

  resume(): void {
    if (!this.#paused || this.closed) return;
    this.#paused = false;
    this.#carrier.resume();
  }

  /** Ends our side after what is gathered; reading goes on. */
  end(): void {
    this.#endAfterFlush = true;
    this.#markDirty();
  }

  /** Closes at once; queued output is lost. */
  destroy(): void {
    if (!this.closed) this.#carrier.destroy();
  }

  /** Closes at once in a way that the peer cannot take for an orderly end. */
  abort(): void {
    if (!this.closed) this.#carrier.reset();
  }

  setKeepAlive(delayMs: number): void {
    this.#carrier.setKeepAlive(delayMs);
  }

  // --- from the carrier -------------------------------------------------------------------------------------------

  carrierRead(bytes: TextBuffer, length: number): void {
    if (this.closed) return;
    this.bytesRead += length;
    this.owner.onRead(bytes, length);
    this.#context.turn.end();
  }

  carrierEnded(): void {
    this.tell((owner) => owner.onEnd());
  }

  carrierDrained(): void {
    this.congested = false;
    this.tell((owner) => owner.onDrain());
  }

  carrierFailed(code: string): void {
    if (this.failure === '') this.failure = code;
  }

  carrierClosed(failed: boolean): void {
    if (this.closed) return;
    this.closed = true;
    this.owner.onClosed(failed);
    this.#context.turn.end();
  }

  /** Runs a callback of the owner as a turn. */
  tell(callback: (owner: LinkOwner) => void): void {
    if (this.closed) return;
    callback(this.owner);
    this.#context.turn.end();
  }
}

/** Only for the network, and for addresses: names are looked up by Node's streams. */
function handlesFor({ dial }: LinkContext, host: string): NodeHandles | null {
  return dial === net.connect && net.isIP(host) !== 0 ? nodeHandles : null;
}

/** A piece above this is written at once: more of them would only fill memory. */
const flushAt = 16 * 1024;

/** For the option `onread` of a socket: every read goes to `buffer`. */
export function readInto(buffer: TextBuffer, user: CarrierUser): object {
  return {
    buffer,
    callback(length: number): boolean {
      user.carrierRead(buffer, length);
      return true;
    },
  };
}

/** Before there is a connection. */
const nothing: Carrier = {
  remoteAddress: '', remotePort: 0, localAddress: '', localPort: 0, unsent: 0,
  write: () => true, pause() {}, resume() {}, end() {}, destroy() {}, reset() {}, setKeepAlive() {},
};
