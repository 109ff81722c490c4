import type { TextBuffer } from '@remora/http/byte-text';
import type { MessageHead } from '@remora/http/message-head';
import type { Link } from '../io/link.ts';
import { RawLink, type RawConsumer } from '../io/raw-link.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import type { ExchangeRun } from '../pipeline/exchange-run.ts';
import type { ServerStream } from './server-stream.ts';

/** The client's end of a tunnel on a connection of its own: HTTP/1.1 after 101, TCP from its beginning. */
export class ServerTunnel implements ServerStream, RawConsumer {
  readonly #run: ExchangeRun;
  readonly #raw: RawLink;

  /** `early`: what came before the switch, owned. */
  constructor(link: Link, thread: ThreadContext, run: ExchangeRun, start: { readonly early: TextBuffer | null; readonly readEnded: boolean; readonly onGone: () => void }) {
    this.#run = run;
    this.#raw = new RawLink(link, thread, this, start);
  }

  // --- from the client --------------------------------------------------------------------------------------------

  take(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#run.bodyData(bytes, at, to, end);
  }

  writable(): void {
    this.#run.writable();
  }

  lost(): void {
    this.#run.clientGone();
  }

  // --- ServerStream -----------------------------------------------------------------------------------------------

  get requestEnded(): boolean {
    return this.#raw.ended;
  }

  demandBody(): void {
    this.#raw.resume();
  }

  /** What still comes is read and dropped. */
  ignoreBody(): void {
    this.#raw.resume();
  }

  sendInfo(): void {}

  sendHead(_head: MessageHead, _end: boolean): boolean {
    return true;
  }

  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#raw.send(bytes, at, to, end);
  }

  sendTrailers(): void {
    this.#raw.send(noBytes, 0, 0, true);
  }

  abort(): void {
    this.#raw.abort();
  }

  exchangeEnded(): void {
    this.#raw.drop();
  }
}

const noBytes = new Uint8Array(0);
