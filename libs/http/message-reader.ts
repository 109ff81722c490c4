import { BodyReader, bodyBad, bodyData, bodyEnd, bodyLast, bodyMore, bodyTooLarge, bodyTrailers, type BodyFraming } from './body-reader.ts';
import { HeadArena } from './head-arena.ts';
import { HeadReader } from './head-reader.ts';
import { connectionClose, connectionKeepAlive, scanBad, scanComplete, scanIncomplete, scanTooLarge, type HeadLimits, type ScanVerdict } from './head-scanner.ts';
import type { MessageHead } from './message-head.ts';

/**
 * A whole HTTP/1.1 connection half as bytes in, messages out: what conformance tests, fuzzers and captures use. The data path drives the
 * same readers itself.
 */
export class MessageReader {
  readonly messages: ReadMessage[] = [];
  /** Refused, or ended by `Connection: close` or a switch of protocols: nothing more is read. */
  state: 'open' | 'refused' | 'closed' | 'switched' = 'open';
  /** Why, where it was refused. */
  refusal: ScanVerdict | null = null;
  /** Bytes of the last `feed` that came behind the end of what is read. */
  unread = 0;

  readonly #kind: 'request' | 'response';
  readonly #heads: HeadReader;
  readonly #bodies: BodyReader;
  #current: ReadMessage | null = null;

  constructor(kind: 'request' | 'response', limits: HeadLimits) {
    const arena = new HeadArena();
    this.#kind = kind;
    this.#heads = new HeadReader(kind, arena, limits);
    this.#bodies = new BodyReader(arena, limits);
  }

  /** A message whose body has not come whole. */
  get pending(): ReadMessage | null {
    return this.#current;
  }

  feed(bytes: Uint8Array): void {
    let at = 0;
    while (this.state === 'open' && at < bytes.length) at = this.#current === null ? this.#readHead(bytes, at) : this.#readBody(this.#current, bytes, at);
    this.unread = bytes.length - at;
  }

  /** The connection ended: what is incomplete is refused, except a body that ends with it. */
  end(): void {
    if (this.state !== 'open') return;
    if (this.#current !== null && this.#bodies.untilClose) this.#finish(this.#current);
    this.state = this.#current !== null || this.#heads.waiting ? 'refused' : 'closed';
  }

  #readHead(bytes: Uint8Array, at: number): number {
    const verdict = this.#heads.read(bytes, at, bytes.length);
    if (verdict === scanIncomplete) return bytes.length;
    if (verdict !== scanComplete) {
      this.state = 'refused';
      this.refusal = verdict;
      return bytes.length;
    }
    const head = this.#heads.take();
    this.#current = { head, body: [], trailers: null };
    if (head.method === 'CONNECT' || head.protocol !== '' || head.status === 101) {
      this.messages.push(this.#current);
      this.state = 'switched';
      return this.#heads.used;
    }
    this.#bodies.start(this.#framing(head), head.bodyLength);
    if (this.#bodies.done) this.#finish(this.#current);
    return this.#heads.used;
  }

  #framing(head: MessageHead): BodyFraming {
    if (head.chunked && !(head.status < 200 && head.status > 0) && head.status !== 204 && head.status !== 304) return 'chunked';
    if (this.#kind === 'request') return head.bodyLength > 0 ? 'length' : 'none';
    if (head.status < 200 || head.status === 204 || head.status === 304) return 'none';
    return head.bodyLength < 0 ? 'close' : 'length';
  }

  #readBody(message: ReadMessage, bytes: Uint8Array, at: number): number {
    const bodies = this.#bodies;
    const event = bodies.read(bytes, at, bytes.length);
    switch (event) {
      case bodyMore:
        break;
      case bodyData:
      case bodyLast:
        message.body.push(Buffer.from(bytes.subarray(bodies.dataAt, bodies.dataEnd)));
        if (event === bodyLast) this.#finish(message);
        break;
      case bodyTrailers:
      case bodyEnd:
        message.trailers = bodies.trailers;
        this.#finish(message);
        break;
      case bodyBad:
      case bodyTooLarge:
        this.state = 'refused';
        this.refusal = event === bodyBad ? scanBad : scanTooLarge;
        break;
    }
    return bodies.used;
  }

  #finish(message: ReadMessage): void {
    this.messages.push(message);
    this.#current = null;
    const { connection, minorVersion, status } = message.head;
    if (status >= 100 && status < 200) return;
    const keeps = minorVersion === 1 ? (connection & connectionClose) === 0 : (connection & connectionKeepAlive) !== 0;
    if (!keeps) this.state = 'closed';
  }
}

export interface ReadMessage {
  readonly head: MessageHead;
  readonly body: Uint8Array[];
  trailers: MessageHead | null;
}
