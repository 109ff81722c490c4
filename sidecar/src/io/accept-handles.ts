import type net from 'node:net';
import { nodeHandles, type TcpHandle } from './node-handles.ts';

/**
 * Has connections of a listening server come as handles, without a stream each. Errors of single accepts still come by the event of the server. False:
 * this Node does it otherwise; connections come by the event.
 */
export function acceptHandles(server: net.Server, onConnection: (handle: TcpHandle) => void): boolean {
  const { _handle: listening } = server as unknown as { readonly _handle: ListeningHandle | null };
  if (nodeHandles === null || typeof listening?.onconnection !== 'function') return false;
  const { Tcp } = nodeHandles;
  const usual = listening.onconnection;
  listening.onconnection = function accept(this: ListeningHandle, failure: number, handle?: unknown): void {
    if (failure === 0 && handle instanceof Tcp) onConnection(handle);
    else usual.call(this, failure, handle);
  };
  return true;
}

interface ListeningHandle {
  onconnection?: (this: ListeningHandle, failure: number, handle?: unknown) => void;
}
