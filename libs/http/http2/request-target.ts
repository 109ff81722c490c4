import type { TextBuffer } from '../byte-text.ts';
import { pathByte, pathPlain, pathSpecial } from '../head-scanner.ts';
import { tokenLower } from '../header-ids.ts';
import type { MessageHead } from '../message-head.ts';
import { otherProtocols, validAuthority, withoutDefaultPort } from '../received-head.ts';
import { methodText, sharedText } from '../shared-text.ts';
import type { FailureReason } from './failure-reason.ts';
import { fieldKind } from './field-kind.ts';
import type { TableField } from './table-field.ts';

/**
 * The pseudo-header fields of a request (RFC 9113 section 8.3.1), which together are what HTTP/1.1 has in its request line and `host`. Each
 * method answers why the message is malformed; null where it is not.
 */
export class RequestTarget {
  /** The head has a line for the authority. */
  hostRow = false;
  #method = '';
  #scheme = '';
  #authority = '';
  #protocol = '';
  #host: string | null = null;
  #path: string | null = null;
  #plain = true;
  /** Query as a span of the text; -1 where there is none. */
  #queryAt = -1;
  #queryEnd = 0;

  reset(): void {
    this.hostRow = false;
    this.#method = '';
    this.#scheme = '';
    this.#authority = '';
    this.#protocol = '';
    this.#host = null;
    this.#path = null;
    this.#plain = true;
    this.#queryAt = -1;
  }

  /** A value that a table has had before, in the form in which `take` left it there. */
  takeKnown(kind: number, text: string): FailureReason | null {
    switch (kind) {
      case fieldKind.method:
        if (this.#method !== '') return 'pseudo-header';
        this.#method = text;
        return null;
      case fieldKind.scheme:
        if (this.#scheme !== '') return 'pseudo-header';
        this.#scheme = text;
        return null;
      default:
        if (this.#path !== null) return 'pseudo-header';
        this.#path = text;
        return null;
    }
  }

  take(kind: number, bytes: TextBuffer, at: number, end: number, field: TableField | null): FailureReason | null {
    switch (kind) {
      case fieldKind.method:
        return this.#takeMethod(bytes, at, end, field);
      case fieldKind.scheme:
        return this.#takeScheme(bytes, at, end, field);
      case fieldKind.path:
        return this.#takePath(bytes, at, end, field);
      case fieldKind.authority:
        if (this.#authority !== '') return 'pseudo-header';
        // User information is refused with it (RFC 9113 section 8.3.1).
        if (!validAuthority(bytes, at, end)) return 'authority';
        this.#authority = sharedText(bytes, at, end);
        return null;
      default:
        return this.#takeProtocol(bytes, at, end);
    }
  }

  #takeMethod(bytes: TextBuffer, at: number, end: number, field: TableField | null): FailureReason | null {
    if (this.#method !== '') return 'pseudo-header';
    if (!isToken(bytes, at, end)) return 'method';
    this.#method = methodText(bytes, at, end);
    if (otherProtocols.has(this.#method)) return 'method';
    if (field !== null) field.text = this.#method;
    return null;
  }

  #takeScheme(bytes: TextBuffer, at: number, end: number, field: TableField | null): FailureReason | null {
    if (this.#scheme !== '') return 'pseudo-header';
    const scheme = sharedText(bytes, at, end);
    if (scheme !== 'http' && scheme !== 'https') return 'scheme';
    this.#scheme = scheme;
    if (field !== null) field.text = scheme;
    return null;
  }

  #takeProtocol(bytes: TextBuffer, at: number, end: number): FailureReason | null {
    if (this.#protocol !== '' || !isToken(bytes, at, end)) return 'pseudo-header';
    this.#protocol = sharedText(bytes, at, end);
    return null;
  }

  /** Visible ASCII, as in HTTP/1.1; whether its spelling is accepted is judged later, by the canonical path. */
  #takePath(bytes: TextBuffer, at: number, end: number, field: TableField | null): FailureReason | null {
    if (this.#path !== null) return 'pseudo-header';
    let i = at;
    let previous = 0;
    let plain = true;
    for (; i < end; i++) {
      const byte = bytes[i] as number;
      if (byte <= SP || byte >= DEL) return 'path';
      if (byte === QUESTION) break;
      const kind = pathByte[byte];
      if (kind !== pathPlain && (kind === pathSpecial || previous === SLASH)) plain = false;
      previous = byte;
    }
    const pathEnd = i;
    for (; i < end; i++) {
      const byte = bytes[i] as number;
      if (byte <= SP || byte >= DEL) return 'path';
      if (byte === HASH) plain = false;
    }
    this.#path = bytes.latin1Slice(at, pathEnd);
    this.#plain = plain;
    if (pathEnd < end) {
      this.#queryAt = pathEnd + 1;
      this.#queryEnd = end;
    } else if (field !== null && plain) field.text = this.#path;
    return null;
  }

  /** `host` beside `:authority` must agree with it; without one it takes its place. */
  takeHost(bytes: TextBuffer, at: number, end: number): FailureReason | null {
    if (this.#host !== null || !validAuthority(bytes, at, end)) return 'authority';
    this.#host = sharedText(bytes, at, end);
    if (this.#authority !== '' && withoutDefaultPort(this.#host) !== withoutDefaultPort(this.#authority)) return 'authority';
    return null;
  }

  /** All of them together, once the block is read. */
  check(): FailureReason | null {
    if (this.#authority === '') this.#authority = this.#host ?? '';
    if (this.#method === '') return 'pseudo-header';
    if (this.#authority === '') return 'authority';
    if (this.#method === 'CONNECT' && this.#protocol === '') {
      // RFC 9113 section 8.5.
      if (this.#scheme !== '' || this.#path !== null) return 'pseudo-header';
      this.#path = this.#authority;
      return null;
    }
    if (this.#protocol !== '' && this.#method !== 'CONNECT') return 'pseudo-header';
    const path = this.#path;
    if (this.#scheme === '' || path === null) return 'pseudo-header';
    // CVE-2026-33186 in grpc-go: `:path` without its slash matched no rule.
    if (path.charCodeAt(0) === SLASH || (path === '*' && this.#queryAt < 0 && this.#method === 'OPTIONS')) return null;
    return 'path';
  }

  /** Extended CONNECT for WebSocket is the GET with `Upgrade` of HTTP/1.1 (RFC 8441 section 5): filters see one form of it. */
  apply(head: MessageHead, base: number): void {
    head.method = this.#protocol === 'websocket' ? 'GET' : this.#method;
    if (this.#scheme !== '') head.scheme = this.#scheme;
    head.authority = this.#authority;
    head.path = this.#path as string;
    head.pathPlain = this.#plain;
    if (this.#queryAt >= 0) head.adoptQuery(base + this.#queryAt, base + this.#queryEnd);
    head.protocol = this.#protocol;
  }
}

function isToken(bytes: TextBuffer, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (tokenLower[bytes[i] as number] === 0) return false;
  return end > at;
}

const SP = 32;
const DEL = 127;
const SLASH = 47;
const QUESTION = 63;
const HASH = 35;
