import { once } from 'node:events';
import net from 'node:net';

/** Where both sides of a gateway meet it: sockets of this machine, or memory. */
export interface Transport {
  connect(port: number): Promise<net.Socket>;
  /** On a port of its own. */
  listen(onConnection: (socket: net.Socket) => void): Promise<Listening>;
}

export interface Listening {
  readonly port: number;
  /** Takes no more connections. */
  close(): Promise<void>;
}

export const loopback: Transport = {
  async connect(port) {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  },
  async listen(onConnection) {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
      port: (server.address() as net.AddressInfo).port,
      async close() {
        server.close();
        await once(server, 'close');
      },
    };
  },
};
