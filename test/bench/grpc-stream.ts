import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type SecureClientSessionOptions } from 'node:http2';

/** A bidirectional gRPC stream on a connection of its own. */
export interface GrpcStream {
  send(message: Uint8Array): void;
  /** Resets the stream and closes the connection. */
  close(): void;
}

const prefixBytes = 5;

/**
 * gRPC over HTTP/2 without a client library, so that thousands of clients in one process cost little beside what is
 * measured: the wire is the same. `ended` runs once, whoever ended it.
 */
export function openGrpcStream(options: { readonly address: string; readonly path: string; readonly message: (message: Buffer) => void; readonly ended: () => void; readonly tls?: SecureClientSessionOptions }): GrpcStream {
  const session = options.tls ? connect(`https://${options.address}`, options.tls) : connect(`http://${options.address}`);
  const stream = session.request({
    ':method': 'POST', ':path': options.path, 'content-type': 'application/grpc+proto', te: 'trailers', 'user-agent': 'remora-bench',
  }, { endStream: false });
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    options.ended();
  };
  session.on('error', end).on('close', end);
  // The server may end its half alone.
  stream.on('end', () => closeBoth(stream, session));
  stream.on('error', end).on('close', end).on('data', messagesOf(options.message));
  return { send: (message) => void stream.write(framed(message)), close: () => closeBoth(stream, session) };
}

function closeBoth(stream: ClientHttp2Stream, session: ClientHttp2Session): void {
  stream.close(constants.NGHTTP2_CANCEL);
  session.close();
}

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}

/** Cuts what arrives into messages; a chunk that is exactly one is not copied. */
function messagesOf(take: (message: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer | null = null;
  return (chunk) => {
    let bytes: Buffer = rest ? Buffer.concat([rest, chunk]) : chunk;
    rest = null;
    while (bytes.length >= prefixBytes) {
      const end = prefixBytes + bytes.readUInt32BE(1);
      if (bytes.length < end) break;
      take(bytes.subarray(prefixBytes, end));
      bytes = bytes.subarray(end);
    }
    if (bytes.length > 0) rest = bytes;
  };
}
