import { parseDurationMs, parseRatio } from '@remora/core/units';
import { readEncryptionKey } from '@remora/identity/encryption-key';
import { parseJoinToken, type JoinToken } from '@remora/identity/join-token';
import type { HostPort } from './sidecar-settings.ts';

/** A value, or what would have been accepted. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly expected: string };
export type Parser<T> = (text: string) => Parsed<T>;

export interface Named<T> {
  /** '' for a bare value. */
  readonly name: string;
  readonly value: T;
}

const namePattern = /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?$/i;

function good<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

function bad(expected: string): { readonly ok: false; readonly expected: string } {
  return { ok: false, expected };
}

/** Name of a service, gateway, port, listener, kind or node. */
export const parseName: Parser<string> = (text) =>
  namePattern.test(text) ? good(text) : bad('a name of letters, digits, ".", "_" and "-", at most 253');

export const parseText: Parser<string> = (text) =>
  text.length > 0 && text.length <= 4_096 && !text.includes('\0') ? good(text) : bad('between 1 and 4096 characters');

export const parseFlag: Parser<boolean> = (text) => {
  if (text === 'true' || text === '') return good(true);
  return text === 'false' ? good(false) : bad('true or false');
};

export const parseDuration: Parser<number> = (text) => {
  const ms = parseDurationMs(text);
  return ms === null ? bad('a duration such as 250ms, 5s or 1m30s') : good(ms);
};

/** `0.1` or `10%`: between 0 and 1. */
export const parseShare: Parser<number> = (text) => {
  const share = parseRatio(/^\d(?:\.\d{1,6})?$/.test(text) ? Number(text) : text);
  return share === null ? bad('a share between 0% and 100%, or 0 and 1') : good(share);
};

export function parseInteger(min: number, max: number): Parser<number> {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? good(value) : bad(`a whole number between ${min} and ${max}`);
  };
}

export function parseOneOf<T extends string>(accepted: readonly T[]): Parser<T> {
  return (text) => {
    const found = accepted.find((item) => item === text);
    return found === undefined ? bad(`one of ${accepted.join(', ')}`) : good(found);
  };
}

export const parseKey: Parser<Buffer> = (text) => {
  const key = readEncryptionKey(text);
  return typeof key === 'string' ? bad('32 bytes in base64 or hexadecimal, such as `openssl rand -base64 32` makes') : good(key);
};

export const parseJoin: Parser<JoinToken> = (text) => {
  const token = parseJoinToken(text);
  return typeof token === 'string' ? bad(`a join token; what is given ${token}`) : good(token);
};

/** `HOST:PORT`; an IPv6 host stands in brackets. */
export const parseHostPort: Parser<HostPort> = (text) => {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253})):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return bad('HOST:PORT, an IPv6 address in brackets');
  return good({ host: match[1] ?? match[2] ?? '', port });
};

/** `[HOST:]PORT`; without a host '' for the default. */
export const parseBinding: Parser<HostPort> = (text) => {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return good({ host: '', port: Number(text) });
  const parsed = parseHostPort(text);
  return parsed.ok ? parsed : bad('[HOST:]PORT, port 0 for a free one');
};

/** `[HOST:]PORT`, or `unix:` and an absolute path: then the port is 0. */
export const parseOutbound: Parser<HostPort> = (text) => {
  if (!text.startsWith('unix:')) return parseBinding(text);
  const path = text.slice('unix:'.length);
  if (!path.startsWith('/') || path.includes('\0') || Buffer.byteLength(path) > unixPathMax) return bad(`unix: and an absolute path of at most ${unixPathMax} bytes`);
  return good({ host: text, port: 0 });
};

/** Of `sun_path`, without its NUL (unix(7)). */
const unixPathMax = 107;

/** `HOST[:PORT]`; without a port 0. */
export const parseAddress: Parser<HostPort> = (text) => {
  const whole = parseHostPort(text);
  if (whole.ok) return whole;
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))$/i.exec(text);
  return match ? good({ host: match[1] ?? match[2] ?? '', port: 0 }) : bad('HOST[:PORT], an IPv6 address in brackets');
};

/** `SERVICE`, or `SERVICE:PORT` for one of its ports. */
export const parseDestination: Parser<string> = (text) => {
  const match = /^([^:]*)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? 1);
  return match !== null && parseName(match[1] ?? '').ok && port >= 1 && port <= 65_535 ? good(text) : bad('SERVICE or SERVICE:PORT');
};

/** `[NAME=]VALUE`. */
export function parseNamed<T>(value: Parser<T>, options: { readonly bare: boolean; readonly name?: Parser<string> }): Parser<Named<T>> {
  return (text) => {
    const at = text.indexOf('=');
    const name = at < 0 ? '' : text.slice(0, at);
    const parsed = value(text.slice(at + 1));
    if (!parsed.ok) return bad(options.bare ? `[NAME=]VALUE, where VALUE is ${parsed.expected}` : `NAME=VALUE, where VALUE is ${parsed.expected}`);
    if (at < 0) return options.bare ? good({ name, value: parsed.value }) : bad('NAME=VALUE');
    const parsedName = (options.name ?? parseName)(name);
    if (parsedName.ok) return good({ name, value: parsed.value });
    return bad(options.name === undefined ? 'NAME=VALUE, where NAME is a port or service name' : `NAME=VALUE, where NAME is ${parsedName.expected}`);
  };
}

/** `key=value` of a label. */
export const parseLabel: Parser<Named<string>> = (text) => {
  const match = /^([A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?)=([A-Za-z0-9._-]{0,253})$/.exec(text);
  return match ? good({ name: match[1] ?? '', value: match[2] ?? '' }) : bad('KEY=VALUE, such as version=v2');
};

/** An http or https URL without credentials. */
export const parseUrl: Parser<string> = (text) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  const usable = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  return usable ? good(text) : bad('an http:// or https:// URL without credentials');
};
