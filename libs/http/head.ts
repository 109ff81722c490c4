import type { HeaderAliases } from './header-aliases.ts';

/**
 * The head of a message: request, response, 1xx or trailers. It owns its bytes (an arena of the exchange), so it stays
 * valid until the exchange completes. Filters see nothing of the codec.
 */
export interface Head {
  /** Request: token as received, e.g. `GET`. Empty in responses. */
  readonly method: string;
  /** `http` or `https`, as the client used it. */
  readonly scheme: string;
  /** Host (and port) the client asked for, lower case. */
  readonly authority: string;
  /** Request target in origin form: path and query as they will be forwarded. */
  readonly target: string;
  /** The canonical path, without query: what routes, authorization and forwarding all see. */
  readonly path: string;
  /** Raw query without `?`; empty where there is none. */
  readonly query: string;
  /** Response: 100 to 999; above 599 is nothing that a server should send. 0 in requests. */
  status: number;
  /** Bytes of the body: -1 unknown, 0 none. Framing is emitted from this alone. */
  bodyLength: number;
  /**
   * Request: the protocol that it asks to switch to, `websocket` or what `Upgrade` said; the method is then that of HTTP/1.1 (`GET`), and there
   * is no body. Final response with status 200: the switch to it, after which both bodies are the bytes of the tunnel. `tcp` and `tls`: the
   * synthetic heads of a TCP connection. Empty otherwise.
   */
  readonly protocol: string;

  has(id: HeaderId): boolean;
  count(id: HeaderId): number;
  /** The nth value (0 first), without surrounding white space; '' where there is none. Matchers look at all of them. */
  valueAt(id: HeaderId, nth: number): string;
  /** Appends a field prepared before the request. */
  put(field: Field): void;
  /** Replaces every value of the field by one. The value is validated: no CR, LF or NUL. */
  set(id: HeaderId, value: string): void;
  /** Appends one value. */
  append(id: HeaderId, value: string): void;
  /** Appends one value that is known to be visible ASCII, as what was made here is: nobody looks at it again. */
  putText(id: HeaderId, value: string): void;
  remove(id: HeaderId): void;
  /** Removes every field with one of these names, in any spelling that an app may take for it. */
  removeAliases(aliases: HeaderAliases): void;
  /** Every field, in order, as forwarded now: for `rename`, logs and captures. Not for the hot path. */
  forEach(visit: (name: string, value: string) => void): void;
  /** Replaces path (canonical) and raw query; `target` follows. */
  setTarget(path: string, query: string): void;
  setAuthority(authority: string): void;
  setMethod(method: string): void;
  /** Copy-on-write copy: one per attempt, mirror, shadow. */
  fork(): Head;
}

/** A header name known to this process: a small integer. */
export type HeaderId = number;

/** An immutable name and value, encoded once when a snapshot is built. */
export interface Field {
  readonly id: HeaderId;
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  /** `name: value\r\n`. */
  readonly line: Uint8Array;
}
