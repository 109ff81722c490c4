import { compileRegex, type Regex } from '@remora/policy-kit/regex';
import { WireError } from '@remora/policy-kit/runtime-kind';
import { boundedList, boundedText, decodeMessage, wholeNumber, wireHeaderName } from '@remora/policy-kit/wire-check';
import { Cors } from './gen/cors.ts';
import { corsOriginDenied, corsPreflight } from './reasons.ts';

/** Which pages of other origins may read the answers. */
export interface CorsSettings {
  readonly anyOrigin: boolean;
  readonly exact: ReadonlySet<string>;
  readonly suffixes: readonly OriginSuffix[];
  readonly regexes: readonly Regex[];
  /** null: the requested one is allowed. */
  readonly methods: readonly string[] | null;
  /** null: the requested ones are allowed. Lower case. */
  readonly headers: readonly string[] | null;
  readonly expose: readonly string[];
  readonly credentials: boolean;
  readonly maxAgeSeconds: number;
  readonly privateNetwork: boolean;
}

/** `https://*.app.example:8443` takes every origin with this head and tail and something without `/` between. */
export interface OriginSuffix {
  /** `https://`. */
  readonly head: string;
  /** `.app.example:8443`. */
  readonly tail: string;
}

export const originsMax = 256;
export const methodsMax = 32;
export const headersMax = 128;

export const corsWire = { name: 'cors', format: 1, reasons: [corsPreflight, corsOriginDenied], decode: decodeCors } as const;

function decodeCors(bytes: Uint8Array): CorsSettings {
  const message = decodeMessage(Cors, bytes);
  if (message.anyOrigin && message.credentials) throw new WireError('/origins', 'contradiction', '* cannot be combined with credentials');
  const methods = boundedList(message.methods, '/methods', methodsMax).map((method) => boundedText(method, '/methods', 32, /^[A-Z][A-Z-]*$/));
  const headers = boundedList(message.headers, '/headers', headersMax).map((name) => wireHeaderName(name, '/headers'));
  return Object.freeze({
    anyOrigin: message.anyOrigin,
    exact: new Set(boundedList(message.exact, '/origins', originsMax).map((text) => boundedText(text, '/origins', 300, visible))),
    suffixes: boundedList(message.suffixes, '/origins', originsMax).map(readSuffix),
    regexes: boundedList(message.regexes, '/origins', originsMax).map(readRegex),
    methods: message.anyMethod ? null : methods,
    headers: message.anyHeader ? null : headers,
    expose: boundedList(message.expose, '/expose', headersMax).map((name) => wireHeaderName(name, '/expose')),
    credentials: message.credentials,
    maxAgeSeconds: wholeNumber(message.maxAgeSeconds, '/maxAge', 0, 86_400),
    privateNetwork: message.privateNetwork,
  });
}

const visible = /^[\x21-\x7e]+$/;

function readSuffix(text: string): OriginSuffix {
  boundedText(text, '/origins', 300, visible);
  const star = text.indexOf('*.');
  if (star < 1) throw new WireError('/origins', 'invalid-origin', `${JSON.stringify(text.slice(0, 80))} is not an origin with *`);
  return Object.freeze({ head: text.slice(0, star), tail: text.slice(star + 1) });
}

function readRegex(pattern: string): Regex {
  const regex = compileRegex(pattern);
  if (typeof regex === 'string') throw new WireError('/origins', 'invalid-regex', regex);
  return regex;
}
