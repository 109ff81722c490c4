import net from 'node:net';
import { ListenError } from './listen-error.ts';
import type { ListenerSpec } from '../threads/data-plane.ts';

/** Rejects with ListenError where the port is taken: binds it alone, and lets it go. */
export function probePort(spec: ListenerSpec): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', (error) => reject(new ListenError(spec, error)));
    server.listen({ host: spec.host, port: spec.port, exclusive: true }, () => server.close(() => resolve()));
  });
}
