import type net from 'node:net';
import { getSystemErrorName } from 'node:util';

/** Who reads and writes on a handle. */
export interface HandleUser {
  /** The first `length` bytes of the socket's read buffer. */
  onHandleRead(length: number): void;
  /** What `writeToHandle` had queued has gone out, `bytes` of it; `status` below zero: it has not. */
  onHandleWritten(bytes: number, status: number): void;
}

/**
 * Writes past the socket's stream, which takes an object, a tick and a third of the time of a short write for what nobody here asks it. Order is kept: what
 * the kernel does not take at once is queued by libuv, and what still waits in the stream (before the connection is made) goes first. Nothing of
 * this is documented in Node: where anything of it is missing, the answer is `writeRefused`, and the stream does it.
 *
 * Answers `writeTaken`, `writeQueued` (`onHandleWritten` follows; the bytes stay as they are until then), `writeRefused`, or a negative code of the system.
 */
export function writeToHandle(socket: net.Socket, bytes: Uint8Array, user: HandleUser): number {
  const { _handle: handle } = socket as unknown as HandleOwner;
  if (internals === null || handle === null || handle === undefined || handle.writeBuffer === undefined || socket.connecting || socket.writableLength > 0) return writeRefused;
  const request = internals.spare;
  const failure = handle.writeBuffer(request, bytes);
  if (failure === 0 && internals.state[internals.writeWasQueued] === 0) return writeTaken;
  // Only a request that never left this function can be used again.
  internals.spare = new internals.Request();
  if (failure !== 0) return failure < 0 ? failure : writeRefused;
  request.oncomplete = onComplete;
  request.user = user;
  request.bytes = bytes;
  return writeQueued;
}

/** Reads past the socket's stream; ends and errors still come by its events. The socket reads into a buffer of its maker (`onread`), and is connected. */
export function readFromHandle(socket: net.Socket, user: HandleUser): void {
  const { _handle: handle } = socket as unknown as HandleOwner;
  if (internals === null || handle === null || handle === undefined || typeof handle.onread !== 'function') return;
  handle.user = user;
  handle.usualOnread = handle.onread;
  handle.onread = onRead;
}

/** As the stream would have it. */
export function writeError(status: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: 'write' });
}

export const writeTaken = 0;
export const writeQueued = 1;
export const writeRefused = 2;

function onRead(this: Handle, rest: unknown): unknown {
  const length = internals?.state[internals.readLength] ?? 0;
  if (length <= 0) return this.usualOnread?.(rest);
  this.user?.onHandleRead(length);
  return undefined;
}

function onComplete(this: WriteRequest, status: number): void {
  this.user?.onHandleWritten(this.bytes?.length ?? 0, status);
}

interface HandleOwner {
  readonly _handle: Handle | null | undefined;
}

interface Handle {
  writeBuffer?(request: WriteRequest, bytes: Uint8Array): number;
  onread?: (this: Handle, rest: unknown) => unknown;
  usualOnread?: (this: Handle, rest: unknown) => unknown;
  user?: HandleUser;
}

interface WriteRequest {
  oncomplete?: (this: WriteRequest, status: number) => void;
  user?: HandleUser;
  /** Held until the kernel has them. */
  bytes?: Uint8Array;
}

interface Internals {
  readonly Request: new () => WriteRequest;
  readonly state: Int32Array;
  readonly writeWasQueued: number;
  readonly readLength: number;
  spare: WriteRequest;
}

interface BindingOwner {
  binding?(name: string): Readonly<Record<string, unknown>>;
}

/** Null where this Node has not what is needed. */
function findInternals(): Internals | null {
  try {
    const found = (process as unknown as BindingOwner).binding?.('stream_wrap') ?? {};
    const { WriteWrap: Request, streamBaseState: state, kLastWriteWasAsync: writeWasQueued, kReadBytesOrError: readLength } = found;
    if (typeof Request !== 'function' || !(state instanceof Int32Array) || typeof writeWasQueued !== 'number' || typeof readLength !== 'number') return null;
    const Constructor = Request as Internals['Request'];
    return { Request: Constructor, state, writeWasQueued, readLength, spare: new Constructor() };
  } catch {
    return null;
  }
}

const internals = findInternals();
