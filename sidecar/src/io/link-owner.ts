import type { TextBuffer } from '@remora/http/byte-text';

/** The connection's codec. Called within a turn; the link ends the turn. */
export interface LinkOwner {
  /** `bytes[0, length)` are borrowed for the call. */
  onRead(bytes: TextBuffer, length: number): void;
  /** The peer has ended its side. */
  onEnd(): void;
  /** Everything that was queued has been written. */
  onDrain(): void;
  /** The last call: the connection is gone, `failed` where not in an orderly way. */
  onClosed(failed: boolean): void;
  /** A connection that this side opened can be used: with TLS, after the handshake; `protocol` is what ALPN chose, '' for none. */
  onConnected?(protocol: string): void;
  /** The handshake of an accepted connection is done; `link.tls` tells about it. */
  onSecured?(): void;
}
