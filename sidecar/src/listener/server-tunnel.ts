import type { TextBuffer } from '@remora/http/byte-text';
import type { MessageHead } from '@remora/http/message-head';
import type { Link } from '../io/link.ts';
import { RawLink, type RawConsumer } from '../io/raw-link.ts';
import type { ThreadContext } from '../io/thread-context.ts';
import type { ExchangeRun } from '../pipeline/exchange-run.ts';
import type { ServerStream } from './server-stream.ts';

/** The client's end of a tunnel on a connection of its own: HTTP/1.1 after 101, TCP from its beginning. */
export class ServerTunnel implements ServerStream, RawConsumer {
  #run: ExchangeRun | null = null;
  readonly #raw: RawLink;
  /** There is, or was, somebody at the other end. */
  #open = false;

  /** `early`: what came before, owned. `carry` follows. */
  constructor(link: Link, thread: ThreadContext, start: { readonly early: TextBuffer | null; readonly readEnded: boolean; readonly onGone: () => void }) {
    this.#raw = new RawLink(link, thread, this, start);
  }

  /** The exchange whose bytes it has, by its switch. */
  carry(run: ExchangeRun): void {
    this.#run = run;
  }

  // --- from the client --------------------------------------------------------------------------------------------

  take(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#run?.bodyData(bytes, at, to, end) ?? true;
  }

  writable(): void {
    this.#run?.writable();
  }

  lost(): void {
    this.#run?.clientGone();
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
    this.#open = true;
    return true;
  }

  sendData(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#raw.send(bytes, at, to, end);
  }

  sendTrailers(): void {
    this.#raw.send(noBytes, 0, 0, true);
  }

  /** A reset, but for a connection that was refused: its client may still be busy with connecting. */
  abort(): void {
    if (this.#open) this.#raw.abort();
    else this.#raw.close();
  }

  exchangeEnded(): void {
    if (this.#open) this.#raw.drop();
    else this.#raw.close();
  }
}

const noBytes = new Uint8Array(0);
