import type { MessageHead } from '../message-head.ts';
import { BodyQueue } from './body-queue.ts';
import type { ErrorCode } from './error-code.ts';
import type { SessionCore } from './session-core.ts';
import type { StreamOwner } from './session-ports.ts';
import type { StreamWindow } from './stream-window.ts';

/** One stream of a session, as its owner sees it. After `StreamOwner.onClosed` every call is a no-op. */
export class Http2Stream {
  readonly id: number;
  /** The peer has ended its side; what it sent may still be held. */
  receiveEnded = false;
  /** We have ended our side; queued bytes of it may still be waiting. */
  sendEnded = false;
  /** Left the session: ended on both sides, or reset. */
  closed = false;

  // What follows belongs to the parts of the session.
  readonly core: SessionCore;
  owner: StreamOwner | null = null;
  readonly openedAt: number;
  /** Bytes that the peer lets us send; negative after it shrank the window (RFC 9113 section 6.9.2). */
  sendWindow: number;
  /** Bytes that we let the peer send. */
  receiveWindow: number;
  /** Consumed, but not yet announced by WINDOW_UPDATE. */
  unannounced = 0;
  /** Given to the consumer, who has not taken them yet. */
  owed = 0;
  /** Null: of its usual size. */
  window: StreamWindow | null = null;
  wanted = false;
  discarding = false;
  delivering = false;
  /** The owner has had the end of the peer's message. */
  endDelivered = false;
  held: BodyQueue | null = null;
  heldTrailers: MessageHead | null = null;
  /** Body bytes that content-length promised; -1 where it said nothing. */
  expectedBytes = -1;
  receivedBytes = 0;
  /** Client role: the final head has come; the request was HEAD; interim heads so far. */
  headReceived = false;
  headRequest = false;
  interimHeads = 0;
  queue: BodyQueue | null = null;
  pendingTrailers: MessageHead | null = null;
  /** HEADERS have been written: the peer knows the stream. */
  headSent = false;
  /** END_STREAM has been written. */
  sendDone = false;
  /** Since when what is queued has not moved. */
  stalledAt = 0;
  /** Ring of streams that wait to send; null: not in it. */
  nextWaiting: Http2Stream | null = null;
  previousWaiting: Http2Stream | null = null;

  constructor(core: SessionCore, id: number, openedAt: number) {
    this.core = core;
    this.id = id;
    this.openedAt = openedAt;
    this.sendWindow = core.peer.windowBytes;
    this.receiveWindow = core.initialReceiveWindow;
  }

  /** Body bytes that wait for the peer's window. */
  get queuedBytes(): number {
    return this.queue === null ? 0 : this.queue.length;
  }

  /** 1xx (server role). False: cannot be written, nothing was sent. */
  sendInfo(head: MessageHead): boolean {
    return this.core.sender.sendHead(this, head, false);
  }

  /** Request (client role, once, before anything else) or final response. False: cannot be written, nothing was sent; the stream is still open. */
  sendHead(head: MessageHead, end: boolean): boolean {
    return this.core.sender.sendHead(this, head, end);
  }

  /** Takes all bytes, always. False: hold back until `onWritable`. */
  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.core.sender.sendData(this, bytes, at, to, end);
  }

  /** Ends our side. False: cannot be written; the message was ended without them. */
  sendTrailers(head: MessageHead): boolean {
    return this.core.sender.sendTrailers(this, head);
  }

  /** Wants (more) body: what is held is delivered within this call, so never call it within `onData`. */
  resume(): void {
    this.core.receiver.resume(this);
  }

  /**
   * Wants no more of the peer's body: it is dropped. A server's stream whose response is complete is then reset with NO_ERROR (RFC 9113
   * section 8.1).
   */
  discard(): void {
    this.core.receiver.discard(this);
  }

  /** Ends the stream at once; what is queued is lost. Only `onClosed` follows. */
  reset(code: ErrorCode): void {
    if (this.closed) return;
    // A stream that the peer has never heard of is idle: RST_STREAM would end the connection (RFC 9113 section 5.1).
    if (this.headSent || this.core.role === 'server') {
      this.core.writeReset(this.id, code);
      this.core.resets.add(this.id, true);
    }
    this.core.close(this);
  }
}
