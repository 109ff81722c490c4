import { readClaimHeaders, type ClaimHeader } from '@remora/policy-kit/tokens/claim-headers';
import { readTokenPlace, tokenPlacesMax, type TokenPlace } from '@remora/policy-kit/tokens/token-place';
import { boundedList, boundedText, decodeMessage, wholeNumber } from '@remora/policy-kit/wire-check';
import { TokenIntrospection } from './gen/token-introspection.ts';
import { introspectionReasons } from './reasons.ts';

export interface TokenIntrospectionSettings {
  readonly endpoint: string;
  readonly allowPrivateAddresses: boolean;
  readonly clientId: string;
  /** Name of the fact of kind `secret`. */
  readonly clientSecret: string;
  /** '': what the answer says. */
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  /** All are needed. */
  readonly scopes: readonly string[];
  readonly tokenFrom: readonly TokenPlace[];
  readonly claimsToHeaders: readonly ClaimHeader[];
  readonly forwardToken: boolean;
  readonly opaqueOnly: boolean;
  readonly cacheMs: number;
  readonly rejectedMs: number;
  readonly deadlineMs: number;
}

export const introspectionMax = { audiences: 64, scopes: 64 } as const;

export const tokenIntrospectionWire = { name: 'tokenIntrospection', format: 1, reasons: introspectionReasons, decode: decodeTokenIntrospection } as const;

function decodeTokenIntrospection(bytes: Uint8Array): TokenIntrospectionSettings {
  const message = decodeMessage(TokenIntrospection, bytes);
  return Object.freeze({
    endpoint: boundedText(message.endpoint, '/endpoint', 2048, /^https?:\/\//),
    allowPrivateAddresses: message.allowPrivateAddresses,
    clientId: boundedText(message.clientId, '/clientId', 256, /./),
    clientSecret: boundedText(message.clientSecret, '/clientSecret/secret', 63, /^[a-z0-9-]+$/),
    issuer: boundedText(message.issuer, '/issuer', 2048),
    audiences: Object.freeze(boundedList(message.audiences, '/audiences', introspectionMax.audiences)),
    scopes: Object.freeze(boundedList(message.scopes, '/scopes', introspectionMax.scopes)),
    tokenFrom: Object.freeze(boundedList(message.tokenFrom, '/tokenFrom', tokenPlacesMax).map(readTokenPlace)),
    claimsToHeaders: readClaimHeaders(message.claimsToHeaders),
    forwardToken: message.forwardToken,
    opaqueOnly: message.opaqueOnly,
    cacheMs: wholeNumber(message.cacheMs, '/cacheFor', 0, 3_600_000),
    rejectedMs: wholeNumber(message.rejectedMs, '/rejectedFor', 0, 300_000),
    deadlineMs: wholeNumber(message.deadlineMs, '/deadline', 50, 10_000),
  });
}
