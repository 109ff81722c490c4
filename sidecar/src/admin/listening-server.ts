import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { joinHostPort } from '../settings/build-settings.ts';
import type { HostPort } from '../settings/sidecar-settings.ts';

/** An HTTP server beside the data path that is on its port. */
export class ListeningServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Rejects with a sentence that names the port, as `what`, where it is taken. */
  static async start(what: string, server: Server, address: HostPort): Promise<ListeningServer> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be bound: ${error.message}`;
      reject(new Error(`${what} ${joinHostPort(address)} ${why}`));
    });
    server.listen({ host: address.host, port: address.port }, resolve);
    await promise;
    return new ListeningServer(server);
  }

  get address(): HostPort {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }
}
