import net from 'node:net';

/** Tests only: a long way to `target`. Every byte arrives `oneWayMs` later; how many are under way is not limited. */
export class DelayLine {
  port = 0;
  /** The most bytes that were under way to the target, and back. */
  peakThere = 0;
  peakBack = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(target: number, oneWayMs: number) {
    this.#server = net.createServer({ noDelay: true }, (near) => {
      const far = net.connect({ port: target, host: '127.0.0.1', noDelay: true });
      this.#carry(near, far, oneWayMs, (bytes) => {
        this.peakThere = Math.max(this.peakThere, bytes);
      });
      this.#carry(far, near, oneWayMs, (bytes) => {
        this.peakBack = Math.max(this.peakBack, bytes);
      });
    });
  }

  static async start(target: number, oneWayMs: number): Promise<DelayLine> {
    const line = new DelayLine(target, oneWayMs);
    await new Promise<void>((resolve) => {
      line.#server.listen(0, '127.0.0.1', resolve);
    });
    line.port = (line.#server.address() as net.AddressInfo).port;
    return line;
  }

  #carry(from: net.Socket, to: net.Socket, oneWayMs: number, saw: (bytes: number) => void): void {
    let under = 0;
    this.#sockets.add(from);
    from.on('data', (bytes: Buffer) => {
      under += bytes.length;
      saw(under);
      setTimeout(() => {
        under -= bytes.length;
        to.write(bytes);
      }, oneWayMs);
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      setTimeout(() => to.destroy(), oneWayMs);
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
