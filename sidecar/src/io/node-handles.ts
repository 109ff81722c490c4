/** Who reads and writes on a handle; kept on it. */
export interface HandleUser {
  /** `readLength` of the state says what: bytes in the read buffer, or a negative code. */
  onHandleRead(): void;
  onHandleWritten(request: WriteRequest, status: number): void;
  onHandleEnded(): void;
  onHandleConnected(status: number): void;
  onHandshakeBegun(): void;
  onHandshakeDone(): void;
  onHandshakeFailed(error: NodeJS.ErrnoException): void;
}

/** A stream of Node's without its JavaScript: TCP, or TLS on top of one. All calls answer 0 or a negative code of the system. */
export interface StreamHandle {
  onread: (this: StreamHandle, rest: unknown) => unknown;
  user?: HandleUser | null;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  /** 1: done at once. */
  shutdown(request: UserRequest): number;
  /** Reads go there from now on. */
  useUserBuffer(buffer: Uint8Array): void;
}

export interface TcpHandle extends StreamHandle {
  close(done: () => void): void;
  reset(done: () => void): number;
  setNoDelay(on: boolean): number;
  setKeepAlive(on: boolean, delaySeconds: number): number;
  getpeername(out: HandleAddress): number;
  getsockname(out: HandleAddress): number;
  connect(request: UserRequest, address: string, port: number): number;
  connect6(request: UserRequest, address: string, port: number): number;
}

export interface TlsHandle extends StreamHandle {
  onhandshakestart: (this: TlsHandle) => void;
  onhandshakedone: (this: TlsHandle) => void;
  onerror: (this: TlsHandle, error: NodeJS.ErrnoException) => void;
  /** Bytes that were read already. */
  receive(bytes: Uint8Array): void;
  setVerifyMode(request: boolean, reject: boolean): void;
  setALPNProtocols(protocols: Uint8Array): void;
  destroySSL(): void;
  getALPNNegotiatedProtocol(): string | false;
  getProtocol(): string | null;
  isSessionReused(): boolean;
  getPeerX509Certificate(): object | undefined;
  verifyError(): NodeJS.ErrnoException | null | undefined;
}

export interface HandleAddress {
  address?: string;
  port?: number;
}

export interface UserRequest {
  oncomplete?: (this: UserRequest, status: number) => void;
  user?: HandleUser;
}

export interface WriteRequest {
  oncomplete?: (this: WriteRequest, status: number) => void;
  user?: HandleUser;
  /** Held until the kernel has them. */
  bytes?: Uint8Array;
}

/** What of Node the handles need. */
export interface NodeHandles {
  readonly Tcp: new (kind: number) => TcpHandle;
  /** The kind of a connection. */
  readonly socketKind: number;
  readonly ConnectRequest: new () => UserRequest;
  readonly WriteRequest: new () => WriteRequest;
  readonly ShutdownRequest: new () => UserRequest;
  /** TLS on top of a connection. */
  readonly wrapTls: (tcp: TcpHandle, context: object, isServer: boolean, writing: boolean) => TlsHandle;
  /** Of the call under way. */
  readonly state: Int32Array;
  readonly writeWasQueued: number;
  readonly readLength: number;
}

interface BindingOwner {
  binding?(name: string): Readonly<Record<string, unknown>>;
}

const tcpCalls = ['close', 'reset', 'setNoDelay', 'setKeepAlive', 'getpeername', 'getsockname', 'connect', 'connect6', 'readStart', 'readStop', 'writeBuffer', 'shutdown', 'useUserBuffer'];
const tlsCalls = [
  'receive', 'setVerifyMode', 'setALPNProtocols', 'destroySSL', 'getALPNNegotiatedProtocol', 'getProtocol', 'isSessionReused', 'getPeerX509Certificate', 'verifyError',
  'readStart', 'readStop', 'writeBuffer', 'shutdown', 'useUserBuffer',
];

/**
 * Node's own handles below its streams, which are not documented: null where this Node has not what is needed, and then its streams do it. A stream takes 6 KB of
 * JavaScript for a connection, a quarter of which outlives young collections, where a handle takes half a kilobyte, and none of it does.
 */
function findHandles(): NodeHandles | null {
  try {
    const binding = (name: string): Readonly<Record<string, unknown>> => (process as unknown as BindingOwner).binding?.(name) ?? {};
    const { TCP: Tcp, TCPConnectWrap: ConnectRequest, constants } = binding('tcp_wrap');
    const { WriteWrap: WriteRequest, ShutdownWrap: ShutdownRequest, streamBaseState: state, kLastWriteWasAsync: writeWasQueued, kReadBytesOrError: readLength } = binding('stream_wrap');
    const { wrap: wrapTls, TLSWrap: Tls } = binding('tls_wrap');
    const { SOCKET: socketKind } = constants as Readonly<Record<string, unknown>>;
    if (![Tcp, ConnectRequest, WriteRequest, ShutdownRequest, wrapTls, Tls].every((found) => typeof found === 'function')) return null;
    if (!(state instanceof Int32Array) || ![writeWasQueued, readLength, socketKind].every((found) => typeof found === 'number')) return null;
    if (!has(Tcp, tcpCalls) || !has(Tls, tlsCalls)) return null;
    return { Tcp, socketKind, ConnectRequest, WriteRequest, ShutdownRequest, wrapTls, state, writeWasQueued, readLength } as NodeHandles;
  } catch {
    return null;
  }
}

function has(made: unknown, calls: readonly string[]): boolean {
  const { prototype } = made as { readonly prototype: Readonly<Record<string, unknown>> };
  return calls.every((name) => typeof prototype[name] === 'function');
}

export const nodeHandles: NodeHandles | null = findHandles();

/** What a read answers at the end of what the peer sends. */
export const endOfFile = -4095;
