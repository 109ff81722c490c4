import type { Reason } from '@remora/errors/reason';
import type { MessageHead } from '@remora/http/message-head';

/** What a downstream codec offers for one exchange. HTTP/1.1: the connection itself; HTTP/2: a stream. */
export interface ServerStream {
  /** The whole request has been read; of a tunnel: the client has ended its side. */
  readonly requestEnded: boolean;
  /** For a client that asks to switch, any 2xx means that it was done: others are not passed on. */
  readonly switchesBySuccess?: boolean;
  /** Wants request body; delivered within later turns of `ExchangeRun.bodyData`. */
  demandBody(): void;
  /** Wants no more request body. */
  ignoreBody(): void;
  /** 1xx. */
  sendInfo(head: MessageHead): void;
  /**
   * False: the head cannot be written; nothing was sent. A head with a `protocol` is the switch to it: from then on both directions are bytes, and
   * `end` in either ends that direction alone. A codec may put another stream in its place by `ExchangeRun.switchTo`.
   */
  sendHead(head: MessageHead, end: boolean): boolean;
  /** False: hold back until `ExchangeRun.writable`. */
  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  sendTrailers(head: MessageHead): void;
  /** Ends in a way that the client cannot take for a complete answer. */
  abort(reason: Reason): void;
  /** The exchange is complete: the codec may go on with the next. */
  exchangeEnded(): void;
}
