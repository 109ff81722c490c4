import { boundedList, decodeMessage, wireHeaderName, wireHeaderValue } from '@remora/policy-kit/wire-check';
import { SecurityHeaders } from './gen/security-headers.ts';

/** What is done to response heads, in this order: `remove`, then `set`. */
export interface SecurityHeadersSettings {
  readonly set: readonly SecurityHeaderSetting[];
  /** Lower case. */
  readonly remove: readonly string[];
  /** What the upstream sent is replaced; otherwise it is kept. */
  readonly replace: boolean;
}

export interface SecurityHeaderSetting {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  /** Only where the client came over TLS. */
  readonly httpsOnly: boolean;
}

export const removeMax = 64;
const setMax = 32;

export const securityHeadersWire = { name: 'securityHeaders', format: 1, reasons: [], decode: decodeSecurityHeaders } as const;

function decodeSecurityHeaders(bytes: Uint8Array): SecurityHeadersSettings {
  const message = decodeMessage(SecurityHeaders, bytes);
  return Object.freeze({
    set: Object.freeze(boundedList(message.set, '', setMax).map(({ name, value, httpsOnly }) => Object.freeze({
      name: wireHeaderName(name, ''),
      value: wireHeaderValue(value, ''),
      httpsOnly,
    }))),
    remove: Object.freeze(boundedList(message.remove, '/remove', removeMax).map((name) => wireHeaderName(name, '/remove'))),
    replace: message.replace,
  });
}
