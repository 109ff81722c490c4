import net from 'node:net';
import { acceptHandles } from './accept-handles.ts';
import { nodeHandles, type StreamHandle, type TcpHandle } from './node-handles.ts';

/**
 * Whether connections can be had as handles in this Node: they are undocumented, so one is tried once per thread over loopback before any is relied on. Resolves
 * false on any surprise, and after 500 ms.
 */
export function handlesWork(): Promise<boolean> {
  return new Promise((resolve) => {
    const accepted: TcpHandle[] = [];
    const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true });
    const finish = (works: boolean): void => {
      clearTimeout(timer);
      for (const handle of accepted.splice(0)) handle.close(() => {});
      server.close();
      resolve(works);
    };
    const timer = setTimeout(finish, 500, false);
    server.on('error', () => finish(false));
    server.on('connection', (socket) => {
      socket.destroy();
      finish(false);
    });
    server.listen(0, '127.0.0.1', () => {
      const taken = acceptHandles(server, (handle) => {
        accepted.push(handle);
        if (!echoes(handle)) finish(false);
      });
      if (!taken) {
        finish(false);
        return;
      }
      const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1', () => client.write('ping'));
      client.on('error', () => finish(false));
      client.on('data', (chunk) => {
        client.destroy();
        finish(chunk.toString() === 'ping');
      });
    });
  });
}

/** Writes what it reads back. */
function echoes(handle: TcpHandle): boolean {
  if (nodeHandles === null) return false;
  const { state, readLength, WriteRequest } = nodeHandles;
  const buffer = Buffer.alloc(64);
  handle.onread = function echo(this: StreamHandle): undefined {
    const length = state[readLength] ?? 0;
    if (length > 0) this.writeBuffer(new WriteRequest(), Buffer.from(buffer.subarray(0, length)));
  };
  handle.useUserBuffer(buffer);
  return handle.readStart() === 0;
}
