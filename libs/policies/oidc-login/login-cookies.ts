import type { Head } from '@remora/http/head';
import { headerId } from '@remora/http/header-ids';
import { cookieValueAt } from '@remora/policy-kit/cookie-values';

export interface LoginCookiesOptions {
  readonly name: string;
  /** '': of the host alone. */
  readonly domain: string;
}

/**
 * The cookies of one place: `NAME` keeps a session, `NAME-login-XXXXXXXX` each login under way, named by the beginning of its state, so that logins in several tabs
 * do not meet.
 */
export class LoginCookies {
  readonly #name: string;
  readonly #loginPrefix: string;
  readonly #attributes: string;

  constructor({ name, domain }: LoginCookiesOptions) {
    this.#name = name;
    this.#loginPrefix = `${name}-login-`;
    this.#attributes = `; HttpOnly; Secure; SameSite=Lax${domain === '' ? '' : `; Domain=${domain}`}`;
  }

  /** As sent; null where there is none. */
  session(head: Head): string | null {
    return cookieValueAt(head, this.#name, 0);
  }

  /** Of the login with this state; null where there is none, or the state is not one of ours. */
  login(head: Head, state: string): string | null {
    return stateForm.test(state) ? cookieValueAt(head, this.#loginName(state), 0) : null;
  }

  setSession(text: string, seconds: number): string {
    return this.#line(this.#name, text, seconds);
  }

  setLogin(state: string, text: string, seconds: number): string {
    return this.#line(this.#loginName(state), text, seconds);
  }

  endSession(): string {
    return this.#line(this.#name, '', 0);
  }

  endLogin(state: string): string {
    return this.#line(this.#loginName(state), '', 0);
  }

  /** Lines that end the logins which the request shows, where they are more than `kept`; at most 32. Somebody opened pages and logged in at none. */
  endLogins(head: Head, kept: number): string[] {
    const names: string[] = [];
    eachPair(head, (field, start, end) => {
      if (field.startsWith(this.#loginPrefix, start)) names.push(nameOf(field, start, end));
    });
    return names.length <= kept ? [] : names.slice(0, endedMax).filter((name) => loginName.test(name.slice(this.#loginPrefix.length))).map((name) => this.#line(name, '', 0));
  }

  /** Takes all of them out of a request before it is forwarded. */
  remove(head: Head): void {
    if (!head.has(cookieId)) return;
    let kept = '';
    eachPair(head, (field, start, end) => {
      if (!this.#owns(field, start, end)) kept += kept === '' ? field.slice(start, end) : `; ${field.slice(start, end)}`;
    });
    if (kept === '') head.remove(cookieId);
    else head.set(cookieId, kept);
  }

  #owns(field: string, start: number, end: number): boolean {
    if (!field.startsWith(this.#name, start)) return false;
    const after = start + this.#name.length;
    return after === end || field[after] === '=' || field[after] === ' ' || field.startsWith(this.#loginPrefix, start);
  }

  #loginName(state: string): string {
    return this.#loginPrefix + state.slice(0, 8);
  }

  #line(name: string, text: string, seconds: number): string {
    return `${name}=${text}; Path=/; Max-Age=${seconds}${this.#attributes}`;
  }
}

/** Each pair without the spaces around it (RFC 6265 section 4.2.1). */
function eachPair(head: Head, take: (field: string, start: number, end: number) => void): void {
  for (let nth = 0; nth < head.count(cookieId); nth++) {
    const field = head.valueAt(cookieId, nth);
    for (let at = 0; at < field.length;) {
      let end = field.indexOf(';', at);
      if (end < 0) end = field.length;
      let [start, last] = [at, end];
      while (start < last && isSpace(field.charCodeAt(start))) start++;
      while (last > start && isSpace(field.charCodeAt(last - 1))) last--;
      if (start < last) take(field, start, last);
      at = end + 1;
    }
  }
}

function nameOf(field: string, start: number, end: number): string {
  const equals = field.indexOf('=', start);
  return field.slice(start, equals < 0 || equals > end ? end : equals);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

const cookieId = headerId('cookie');
/** 256 random bits in base64url. */
const stateForm = /^[\w-]{43}$/;
const loginName = /^[\w-]{8}$/;
const endedMax = 32;
