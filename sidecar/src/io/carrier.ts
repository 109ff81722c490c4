import type { TextBuffer } from '@remora/http/byte-text';
import type { OutputSlab } from './output-slabs.ts';

/** What carries the bytes of a link: a handle of Node's, or one of its streams. */
export interface Carrier {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Bytes that the kernel has not taken yet. */
  readonly unsent: number;
  /** Writes a region of `slab`, and gives it back when its bytes are not needed any more. False: more is queued than the kernel takes, `carrierDrained` follows. */
  write(piece: Uint8Array, slab: OutputSlab): boolean;
  pause(): void;
  resume(): void;
  /** Ends our side behind what is queued. Idempotent. */
  end(): void;
  /** Closes at once; what is queued is lost. `carrierClosed` follows. Idempotent. */
  destroy(): void;
  /** The same, in a way that the peer cannot take for an orderly end. */
  reset(): void;
  setKeepAlive(delayMs: number): void;
}

/** Who hears from a carrier. */
export interface CarrierUser {
  /** `bytes[0, length)` are borrowed for the call. */
  carrierRead(bytes: TextBuffer, length: number): void;
  /** The peer has ended its side. */
  carrierEnded(): void;
  /** All that was queued has been written. */
  carrierDrained(): void;
  /** The code of the system or of OpenSSL that says why it breaks; `carrierClosed` follows. */
  carrierFailed(code: string): void;
  /** The last call: also where both sides have ended. `failed`: not in an orderly way. */
  carrierClosed(failed: boolean): void;
}
