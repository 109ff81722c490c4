import { lstatSync, unlinkSync } from 'node:fs';
import net from 'node:net';

/** Where a listener is a UNIX socket its host is `unix:` and the path. */
const unixPrefix = 'unix:';

/** The path of a UNIX socket; '' for hosts. */
export function unixPathOf(host: string): string {
  return host.startsWith(unixPrefix) ? host.slice(unixPrefix.length) : '';
}

/** Removes a socket that a process left behind which is gone: nobody answers there. Whatever else is at the path stays, and binding fails. */
export async function removeStaleSocket(path: string): Promise<void> {
  if (!isSocket(path)) return;
  const answered = await new Promise<boolean>((resolve) => {
    const socket = net.connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
  if (!answered) unlinkSync(path);
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch {
    return false;
  }
}
