import { boundedList, boundedText, decodeMessage, oneWord, wholeNumber } from '@remora/policy-kit/wire-check';
import { Hmac } from './gen/hmac.ts';
import { contentDigestMismatch, signatureExpired, signatureIncomplete, signatureInvalid, signatureOverload, signatureReplayed, signatureWarming } from './reasons.ts';

export interface HmacSettings {
  readonly components: readonly string[];
  readonly maxAgeMs: number;
  readonly leewayMs: number;
  readonly nonceRequired: boolean;
  readonly digestRequired: boolean;
  /** '' for any. */
  readonly tag: string;
  readonly forwardSignature: boolean;
}

export const hmacWire = {
  name: 'hmac', format: 1, decode: decodeHmac,
  reasons: [signatureInvalid, signatureIncomplete, signatureExpired, signatureReplayed, contentDigestMismatch, signatureOverload, signatureWarming],
} as const;

function decodeHmac(bytes: Uint8Array): HmacSettings {
  const message = decodeMessage(Hmac, bytes);
  return Object.freeze({
    components: Object.freeze(boundedList(message.components, '/components', 32).map((name, i) => boundedText(name, `/components/${i}`, 128, /^(?:@[a-z-]+|[!#$%&'*+.^_`|~0-9a-z-]+)$/))),
    maxAgeMs: wholeNumber(message.maxAgeMs, '/maxAge', 1_000, 86_400_000),
    leewayMs: wholeNumber(message.leewayMs, '/leeway', 0, 300_000),
    nonceRequired: oneWord(message.nonce, '/nonce', ['required', 'optional']) === 'required',
    digestRequired: oneWord(message.contentDigest, '/contentDigest', ['required', 'optional']) === 'required',
    tag: boundedText(message.tag, '/tag', 128),
    forwardSignature: message.forwardSignature,
  });
}
