import type { Reason } from '@remora/errors/reason';
import type { MessageHead } from '@remora/http/message-head';

/** What a downstream codec offers for one exchange. HTTP/1.1: the connection itself; HTTP/2: a stream. */
export interface ServerStream {
  /** The whole request has been read. */
  readonly requestEnded: boolean;
  /** Wants request body; delivered within later turns of `ExchangeRun.bodyData`. */
  demandBody(): void;
  /** Wants no more request body. */
  ignoreBody(): void;
  /** 1xx. */
  sendInfo(head: MessageHead): void;
  /** False: the head cannot be written; nothing was sent. */
  sendHead(head: MessageHead, end: boolean): boolean;
  /** False: hold back until `ExchangeRun.writable`. */
  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean;
  sendTrailers(head: MessageHead): void;
  /** Ends in a way that the client cannot take for a complete answer. */
  abort(reason: Reason): void;
  /** The exchange is complete: the codec may go on with the next. */
  exchangeEnded(): void;
}
