import type { MessageHead } from '../message-head.ts';
import type { ErrorCode } from './error-code.ts';

/** One stream of a session, as its owner sees it. After `StreamOwner.onClosed` every call is a no-op. */
export declare class Http2Stream {
  readonly id: number;
  /** The peer has ended its side. */
  get receiveEnded(): boolean;
  /** We have ended our side; queued bytes of it may still be waiting. */
  get sendEnded(): boolean;
  /** Left the session: ended on both sides, or reset. */
  get closed(): boolean;
  /** Body bytes that wait for the peer's window. */
  get queuedBytes(): number;

  /** 1xx (server role). False: cannot be written, nothing was sent. */
  sendInfo(head: MessageHead): boolean;
  /** Request (client role, once, before anything else) or final response. False: cannot be written, nothing was sent; the stream is still open. */
  sendHead(head: MessageHead, end: boolean): boolean;
  /** Takes all bytes, always. False: hold back until `onWritable`. */
  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  /** Ends our side. False: cannot be written; the message was ended without them. */
  sendTrailers(head: MessageHead): boolean;

  /** Wants (more) body: what is held is delivered within this call, so never call it within `onData`. */
  resume(): void;
  /** Wants no more of the peer's body: it is dropped. A server's stream whose response is complete is then reset with NO_ERROR (RFC 9113 section 8.1). */
  discard(): void;
  /** Ends the stream at once; what is queued is lost. */
  reset(code: ErrorCode): void;
}
