import type { Socket } from 'node:net';
import { HttpDuplex } from './http-duplex.ts';

/** A socket between the network and `node:http` that keeps a copy of all bytes that came. */
export class TappedSocket extends HttpDuplex {
  readonly socket: Socket;
  readonly received: Buffer[] = [];

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.received.push(bytes);
      this.push(bytes);
    });
    socket.once('end', () => this.push(null));
    socket.on('error', () => this.destroy());
    socket.once('close', () => this.destroy());
  }

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

  override destroySoon(): void {
    if (this.writable) this.end();
    this.socket.destroySoon();
  }
}
