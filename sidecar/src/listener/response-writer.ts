import { connectionKeepAlive } from '@remora/http/head-scanner';
import { closeLine, headSizeMax, keepAliveLine, noConnectionLine, writeResponseHead, type ResponseFraming } from '@remora/http/head-writer';
import type { MessageHead } from '@remora/http/message-head';
import { sendChunk, sendLastChunk } from '../io/chunk-output.ts';
import type { Link } from '../io/link.ts';

/** Writes the responses of an HTTP/1.1 connection: how one is framed follows from its request and its head (RFC 9112 section 6). */
export class ResponseWriter {
  /** The final head of the current response has gone out. */
  headSent = false;
  readonly #link: Link;
  #chunked = false;
  #http10 = false;
  #keepAliveAsked = false;
  #headRequest = false;

  constructor(link: Link) {
    this.#link = link;
  }

  /** The next response is to this request; null: to one that could not be read. */
  answers(request: MessageHead | null): void {
    this.headSent = false;
    this.#http10 = request?.minorVersion === 0;
    this.#keepAliveAsked = request !== null && this.#http10 && (request.connection & connectionKeepAlive) !== 0;
    this.#headRequest = request?.method === 'HEAD';
  }

  info(head: MessageHead): void {
    if (this.#http10 || this.headSent) return;
    const out = this.#link.reserve(headSizeMax(head));
    const at = writeResponseHead(head, infoFraming, out, this.#link.outAt);
    if (at >= 0) this.#link.wrote(at);
  }

  /** A body without length for HTTP/1.0 ends with the connection. */
  endsByClosing(head: MessageHead, end: boolean): boolean {
    return this.#http10 && head.bodyLength < 0 && !this.#isBodiless(head, end);
  }

  /** `closing`: the connection ends behind this response. False: the head cannot be written, nothing was sent. */
  head(head: MessageHead, end: boolean, closing: boolean): boolean {
    const bodiless = this.#isBodiless(head, end);
    this.#chunked = head.bodyLength < 0 && !bodiless && !this.#http10;
    if (end && head.bodyLength < 0 && !this.#headRequest && head.status !== 304) head.bodyLength = 0;
    framing.bodiless = bodiless;
    framing.chunkedAllowed = !this.#http10;
    framing.connectionLine = closing ? closeLine : this.#keepAliveAsked ? keepAliveLine : noConnectionLine;
    const out = this.#link.reserve(headSizeMax(head));
    const at = writeResponseHead(head, framing, out, this.#link.outAt);
    if (at < 0) return false;
    this.#link.wrote(at);
    this.headSent = true;
    return true;
  }

  #isBodiless({ status }: MessageHead, end: boolean): boolean {
    return end || this.#headRequest || status === 204 || status === 304;
  }

  /** False: the answer to HEAD has no body. */
  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    if (this.#headRequest) return false;
    if (this.#chunked) sendChunk(this.#link, bytes, at, to, end);
    else if (to > at) this.#link.send(bytes, at, to);
    return true;
  }

  trailers(head: MessageHead): void {
    if (this.#chunked) sendLastChunk(this.#link, head);
  }
}

const infoFraming: ResponseFraming = { bodiless: true, chunkedAllowed: true, connectionLine: noConnectionLine };
/** Filled for each head, read within the call. */
const framing = { bodiless: false, chunkedAllowed: true, connectionLine: noConnectionLine };
