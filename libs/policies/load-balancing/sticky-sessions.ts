import { headerId } from '@remora/http/header-ids';
import type { Head } from '@remora/http/head';
import { cookieValueAt } from '@remora/policy-kit/cookie-values';
import type { Call, Sink } from '@remora/policy-kit/exchange';
import type { Host } from '@remora/policy-kit/hosts';
import { PassingSink } from '@remora/policy-kit/passing-sink';
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

class StickyResponse extends PassingSink {
  readonly #sessions: StickySessions;
  readonly #call: Call;

  constructor(sessions: StickySessions, call: Call, response: Sink) {
    super(response);
    this.#sessions = sessions;
    this.#call = call;
  }

  override head(head: Head, end: boolean): void {
    this.#sessions.tell(this.#call, head);
    super.head(head, end);
  }
}

const setCookieId = headerId('set-cookie');
