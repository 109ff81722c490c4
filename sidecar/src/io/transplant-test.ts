import net from 'node:net';

/**
 * Whether a new Socket around the handle of an accepted one works in this Node: it is undocumented, so it is tried once per
 * thread over loopback before it is relied on. Resolves false on any surprise, and after 500 ms.
 */
export function transplantWorks(): Promise<boolean> {
  return new Promise((resolve) => {
    const opened: { destroy(): void }[] = [];
    const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true });
    const finish = (works: boolean): void => {
      clearTimeout(timer);
      for (const socket of opened) socket.destroy();
      server.close();
      resolve(works);
    };
    const timer = setTimeout(finish, 500, false);
    server.on('error', () => finish(false));
    server.on('connection', (accepted) => {
      opened.push(accepted);
      try {
        opened.push(echo(accepted));
      } catch {
        finish(false);
      }
    });
    server.listen(0, '127.0.0.1', () => {
      const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1', () => client.write('ping'));
      opened.push(client);
      client.on('error', () => finish(false));
      client.on('data', (chunk) => finish(chunk.toString() === 'ping'));
    });
  });
}

function echo(accepted: net.Socket): net.Socket {
  const owner = accepted as unknown as { _handle: unknown };
  const handle = owner._handle;
  if (handle === null || typeof handle !== 'object') throw new Error('no handle');
  owner._handle = null;
  const buffer = Buffer.alloc(64);
  const taken = new net.Socket({
    handle, allowHalfOpen: true, onread: { buffer, callback: (length: number) => taken.write(Buffer.from(buffer.subarray(0, length))) },
  } as net.SocketConstructorOpts);
  taken.on('error', () => {});
  accepted.destroy();
  taken.resume();
  return taken;
}
