import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** A socket between the network and `node:http` that keeps a copy of all bytes that came. */
export class TappedSocket extends Duplex {
  readonly socket: Socket;
  readonly received: Buffer[] = [];

  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.received.push(bytes);
      this.push(bytes);
    });
    socket.once('end', () => this.push(null));
    socket.on('error', () => this.destroy());
    socket.once('close', () => this.destroy());
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.socket.write(bytes, () => done());
  }

  override _final(done: () => void): void {
    this.socket.end(done);
  }

  override _destroy(_error: Error | null, done: (error: Error | null) => void): void {
    this.socket.destroy();
    done(null);
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  destroySoon(): void {
    if (this.writable) this.end();
    this.socket.destroySoon();
  }
}
