import type { ServerTlsOptions } from '../io/tls-socket.ts';

/** What a listener does with a ClientHello: the handshake begins, or the connection is refused. */
export type HandshakeVerdict =
  | { readonly ok: true; readonly options: ServerTlsOptions }
  /** `why` for counting, kebab case. `last`: what the client is told, an alert or nothing. */
  | { readonly ok: false; readonly why: string; readonly last: Uint8Array };

/** Refused without a word: the listener has as many handshakes under way as it takes. */
export const handshakesOverflow: HandshakeVerdict = Object.freeze({ ok: false, why: 'overflow', last: new Uint8Array(0) });
