import { EventEmitter } from 'node:events';
import type { MemoryNetwork } from './memory-network.ts';

/**
 * One end of a connection in memory: as much of `net.Socket` as the data path, `node:http` on a tapped socket and our clients ask for, half-open always.
 * What one end writes is one segment for the other; when it arrives is up to the network.
 */
export class MemorySocket extends EventEmitter {
  peer!: MemorySocket;
  readonly localPort: number;
  readonly remotePort: number;
  readonly remoteAddress = '127.0.0.1';
  destroyed = false;
  writableEnded = false;
  /** Written, and not yet read by the other end. */
  writableLength = 0;
  /** `onread` of `net.connect`: reads go there instead of to `data`. */
  onread: OnRead | null = null;
  readonly #network: MemoryNetwork;
  readonly #inbox: Arriving[] = [];
  /** Until somebody listens. */
  #paused = true;
  #readEnded = false;
  #congested = false;

  constructor(network: MemoryNetwork, ports: { readonly local: number; readonly remote: number }) {
    super();
    this.#network = network;
    this.localPort = ports.local;
    this.remotePort = ports.remote;
  }

  get writable(): boolean {
    return !this.destroyed && !this.writableEnded;
  }

  /** Something has come, and whoever reads wants it. A reset is told to whoever does not read, too. */
  get ready(): boolean {
    const [first] = this.#inbox;
    return first !== undefined && !this.destroyed && (!this.#paused || first === 'reset' || first === 'connected');
  }

  arrive(what: Arriving): void {
    if (what === 'reset') this.#inbox.length = 0;
    this.#inbox.push(what);
    this.#network.wake(this);
  }

  /** The network lets one segment in. */
  take(): void {
    const next = this.#inbox.shift();
    if (next === undefined || this.destroyed) return;
    if (next === 'connected') this.emit('connect');
    else if (next === 'reset') this.#broken();
    else if (next === 'end') this.#ended();
    else this.#read(next);
    if (this.ready) this.#network.wake(this);
  }

  #read(bytes: Buffer): void {
    this.peer.wasRead(bytes.length);
    const { onread } = this;
    if (onread === null) {
      this.emit('data', bytes);
      return;
    }
    for (let at = 0; at < bytes.length; at += onread.buffer.length) onread.callback(bytes.copy(onread.buffer, 0, at), onread.buffer);
  }

  #ended(): void {
    this.#readEnded = true;
    this.emit('end');
    this.#closeIfDone();
  }

  #broken(): void {
    this.destroyed = true;
    this.emit('error', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    this.emit('close', true);
  }

  wasRead(length: number): void {
    this.writableLength -= length;
    if (!this.#congested || this.writableLength > 0) return;
    this.#congested = false;
    process.nextTick(() => { if (!this.destroyed) this.emit('drain'); });
  }

  #closeIfDone(): void {
    if (!this.#readEnded || !this.writableEnded || this.destroyed) return;
    this.destroyed = true;
    process.nextTick(() => this.emit('close', false));
  }

  // --- what owners call ---------------------------------------------------------------------------------------------

  override on(event: string, listener: (...given: never[]) => void): this {
    super.on(event, listener as (...given: unknown[]) => void);
    if (event === 'data') this.resume();
    return this;
  }

  /** Nobody reads at the other end any more: a reset follows. */
  write(bytes: Uint8Array, done?: () => void): boolean {
    if (!this.writable) return false;
    if (done !== undefined) process.nextTick(done);
    if (this.peer.destroyed) {
      this.arrive('reset');
      return true;
    }
    this.writableLength += bytes.length;
    this.peer.arrive(Buffer.from(bytes));
    this.#congested ||= this.writableLength >= highWaterMark;
    return !this.#congested;
  }

  end(done?: () => void): this {
    if (done !== undefined) process.nextTick(done);
    if (!this.writable) return this;
    this.writableEnded = true;
    if (!this.peer.destroyed) this.peer.arrive('end');
    this.#closeIfDone();
    return this;
  }

  pause(): this {
    this.#paused = true;
    return this;
  }

  resume(): this {
    this.#paused = false;
    if (this.ready) this.#network.wake(this);
    return this;
  }

  /** As the kernel closes: with a reset where something was not read, else with an end behind what was written. */
  destroy(error?: Error): this {
    if (this.destroyed) return this;
    const unread = this.#inbox.some((one) => typeof one !== 'string');
    this.#gone(unread ? 'reset' : this.writableEnded ? null : 'end', error);
    return this;
  }

  destroySoon(): void {
    this.end();
    this.destroy();
  }

  resetAndDestroy(): this {
    if (!this.destroyed) this.#gone('reset');
    return this;
  }

  #gone(farewell: 'reset' | 'end' | null, error?: Error): void {
    this.destroyed = true;
    this.#inbox.length = 0;
    if (farewell !== null && !this.peer.destroyed) this.peer.arrive(farewell);
    process.nextTick(() => {
      if (error !== undefined) this.emit('error', error);
      this.emit('close', error !== undefined);
    });
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }
}

export type Arriving = Buffer | 'connected' | 'end' | 'reset';

export interface OnRead {
  readonly buffer: Buffer;
  callback(length: number, bytes: Buffer): boolean;
}

const highWaterMark = 64 * 1024;
