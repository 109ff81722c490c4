import net from 'node:net';
import type { TextBuffer } from '@remora/http/byte-text';

/**
 * Makes reads of a socket that stands on another one (TLS) go to `buffer`, as `onread` does for those that do not: Node ignores the option there. No
 * memory is allocated for a read, and nothing passes through the stream's own buffer; it saves a tenth of what a request over TLS costs. Must be called before
 * the first read. False: this Node keeps such buffers elsewhere, and nothing was changed.
 */
export function readIntoBuffer(socket: net.Socket, buffer: TextBuffer, callback: (length: number) => void): boolean {
  const [bufferSlot, callbackSlot] = slots;
  const parts = socket as unknown as Record<symbol, unknown> & { readonly _handle: BufferedHandle | null };
  if (bufferSlot === undefined || callbackSlot === undefined || typeof parts._handle?.useUserBuffer !== 'function') return false;
  parts[bufferSlot] = buffer;
  parts[callbackSlot] = (length: number): boolean => {
    callback(length);
    return true;
  };
  parts._handle.useUserBuffer(buffer);
  return true;
}

interface BufferedHandle {
  readonly useUserBuffer?: (buffer: Uint8Array) => void;
}

/** Where a socket keeps the buffer and the callback of `onread`: what one has that was made with it. */
function findSlots(): readonly (symbol | undefined)[] {
  const buffer = Buffer.alloc(1);
  const callback = (): boolean => true;
  const made = new net.Socket({ onread: { buffer, callback } }) as unknown as Record<symbol, unknown>;
  const symbols = Object.getOwnPropertySymbols(made);
  return [symbols.find((symbol) => made[symbol] === buffer), symbols.find((symbol) => made[symbol] === callback)];
}

const slots = findSlots();
