import { Duplex } from 'node:stream';

/** As much of a socket as `node:http` asks of what it serves. */
export abstract class HttpDuplex extends Duplex {
  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {}

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
    this.destroy();
  }
}
