import { headerId } from '@remora/http/header-ids';
import type { Head } from '@remora/http/head';
import { cookieValueAt } from '@remora/policy-kit/cookie-values';
import type { Call, Sink, Source } from '@remora/policy-kit/exchange';
import type { Host } from '@remora/policy-kit/hosts';
import type { Reason } from '@remora/errors/reason';
import { hashText } from '@remora/core/text-hash';
import type { StickySettings } from './wire.ts';

/**
 * Sessions by cookie. Its value is a hash of the host's name, of which nobody learns where hosts are; a client that makes one up chooses among hosts that it may have
 * anyway.
 */
export class StickySessions {
  readonly #settings: StickySettings;
  readonly #attributes: string;

  constructor(settings: StickySettings) {
    const { path, ttlSeconds, sameSite } = settings;
    this.#settings = settings;
    this.#attributes = `; Path=${path}${ttlSeconds > 0 ? `; Max-Age=${ttlSeconds}` : ''}; HttpOnly; SameSite=${sameSite}`;
  }

  /** What the client says; null: nothing. */
  tokenOf(head: Head): string | null {
    return cookieValueAt(head, this.#settings.cookie, 0);
  }

  /** Stands between the response and who waits for it, to tell the client where it was. */
  watch(call: Call, response: Sink): Sink {
    return new StickyResponse(this, call, response);
  }

  /** Where the host is another one than the client said, or it said none. */
  tell({ head: request, host }: Call, response: Head): void {
    if (host === null) return;
    const token = hostToken(host);
    if (this.tokenOf(request) === token) return;
    const { cookie, secure } = this.#settings;
    const secured = secure === 'always' || (secure === 'auto' && request.scheme === 'https');
    response.append(setCookieId, `${cookie}=${token}${this.#attributes}${secured ? '; Secure' : ''}`);
  }
}

/** 64 bits of the host's service, port and name, the same in every caller. */
export function hostToken({ service, port, id }: Pick<Host, 'service' | 'port' | 'id'>): string {
  const name = `${service}\0${port}\0${id}`;
  return hashText(name, 3).toString(16).padStart(8, '0') + hashText(name, 4).toString(16).padStart(8, '0');
}

class StickyResponse implements Sink {
  readonly #sessions: StickySessions;
  readonly #call: Call;
  readonly #response: Sink;

  constructor(sessions: StickySessions, call: Call, response: Sink) {
    this.#sessions = sessions;
    this.#call = call;
    this.#response = response;
  }

  bind(from: Source): void {
    this.#response.bind(from);
  }

  info(head: Head): void {
    this.#response.info(head);
  }

  head(head: Head, end: boolean): void {
    this.#sessions.tell(this.#call, head);
    this.#response.head(head, end);
  }

  data(bytes: Uint8Array, at: number, to: number, end: boolean): boolean {
    return this.#response.data(bytes, at, to, end);
  }

  trailers(head: Head): void {
    this.#response.trailers(head);
  }

  reset(reason: Reason): void {
    this.#response.reset(reason);
  }
}

const setCookieId = headerId('set-cookie');
