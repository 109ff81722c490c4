import { WireError } from '@remora/policy-kit/runtime-kind';
import { readClaimHeaders, type ClaimHeader } from '@remora/policy-kit/tokens/claim-headers';
import { readTokenPlace, tokenPlacesMax, type TokenPlace } from '@remora/policy-kit/tokens/token-place';
import { parseStrictJson } from '@remora/policy-kit/tokens/strict-json';
import { keySourceName } from '@remora/policy-kit/tokens/issuer-keys';
import { readKeySet, type KeySet } from '@remora/policy-kit/tokens/key-set';
import { publicKeyAlgorithms, sharedKeyAlgorithms } from '@remora/policy-kit/tokens/signature-algorithm';
import { boundedList, boundedText, decodeMessage, oneWord, wholeNumber } from '@remora/policy-kit/wire-check';
import { Jwt, type ClaimRule as ClaimRuleMessage, type Issuer, type TokenRules as TokenRulesMessage } from './gen/jwt.ts';
import { jwtReasons } from './reasons.ts';

export interface JwtSettings {
  readonly issuers: readonly IssuerSettings[];
  readonly tokenFrom: readonly TokenPlace[];
  /** Headers that are removed from what clients send, and set from the claims of a valid token. */
  readonly claimsToHeaders: readonly ClaimHeader[];
  readonly forwardToken: boolean;
  /** Tokens of none of the issuers are none of this policy's business. */
  readonly ignoreOtherTokens: boolean;
  /** null: tokens that Consumers sign are not accepted. */
  readonly consumerTokens: TokenRules | null;
}

export interface IssuerSettings {
  readonly name: string;
  /** `iss` of its tokens. */
  readonly issuer: string;
  /** Where its keys are fetched; null: they are `keys`. */
  readonly source: FetchedKeys | null;
  /** Keys that the policy itself brings. */
  readonly keys: KeySet | null;
  readonly rules: TokenRules;
}

/** What the control thread follows. */
export interface FetchedKeys {
  /** Name of the fact of kind `jwks`. */
  readonly name: string;
  readonly issuer: string;
  /** '' for discovery. */
  readonly uri: string;
  readonly allowPrivateAddresses: boolean;
  /** How long keys are believed when the issuer does not answer. */
  readonly maxAgeMs: number;
}

export interface TokenRules {
  readonly algorithms: readonly string[];
  /** Empty: any. */
  readonly audiences: readonly string[];
  readonly requiredClaims: readonly ClaimRule[];
  readonly leewayMs: number;
  /** Since `iat`; 0: none. */
  readonly maxAgeMs: number;
  readonly types: readonly string[];
}

export interface ClaimRule {
  readonly claim: string;
  readonly mode: 'present' | 'anyOf' | 'allOf';
  readonly values: readonly string[];
}

export const jwtMax = { issuers: 32, audiences: 64, claimValues: 64, requiredClaims: 32, types: 8, inlineBytes: 65_536 } as const;

export const jwtWire = { name: 'jwt', format: 1, reasons: jwtReasons, decode: decodeJwt } as const;

function decodeJwt(bytes: Uint8Array): JwtSettings {
  const message = decodeMessage(Jwt, bytes);
  const issuers = boundedList(message.issuers, '/issuers', jwtMax.issuers).map(readIssuer);
  if (new Set(issuers.map(({ issuer }) => issuer)).size < issuers.length) throw new WireError('/issuers', 'duplicate', 'two entries are the same issuer');
  return Object.freeze({
    issuers: Object.freeze(issuers),
    tokenFrom: Object.freeze(boundedList(message.tokenFrom, '/tokenFrom', tokenPlacesMax).map(readTokenPlace)),
    claimsToHeaders: readClaimHeaders(message.claimsToHeaders),
    forwardToken: message.forwardToken,
    ignoreOtherTokens: message.ignoreOtherTokens,
    consumerTokens: message.consumerTokens === undefined ? null : readRules(message.consumerTokens, '/consumerTokens', [...publicKeyAlgorithms, ...sharedKeyAlgorithms]),
  });
}

function readIssuer({ name, issuer, jwksUri, jwks, allowPrivateAddresses, keysMaxAgeSeconds, rules }: Issuer): IssuerSettings {
  const pointer = `/issuers/${boundedText(name, '/issuers', 63, /^[A-Za-z][A-Za-z0-9_-]*$/)}`;
  boundedText(issuer, `${pointer}/issuer`, 2048, /./);
  if (rules === undefined) throw new WireError(pointer, 'missing-field', 'an issuer without rules');
  const source = { issuer, uri: boundedText(jwksUri, `${pointer}/jwksUri`, 2048), allowPrivateAddresses };
  const maxAgeMs = 1000 * wholeNumber(keysMaxAgeSeconds, `${pointer}/keysMaximumAge`, 60, 30 * 86_400);
  return Object.freeze({
    name,
    issuer,
    source: jwks === '' ? Object.freeze({ ...source, name: keySourceName(source), maxAgeMs }) : null,
    keys: jwks === '' ? null : readInline(boundedText(jwks, `${pointer}/jwks`, jwtMax.inlineBytes), `${pointer}/jwks`),
    rules: readRules(rules, pointer, publicKeyAlgorithms),
  });
}

function readInline(jwks: string, pointer: string): KeySet {
  const read = readKeySet(parseStrictJson(jwks));
  if (typeof read === 'string') throw new WireError(pointer, 'invalid-value', read);
  if (read.left.length > 0 || read.set.keys.length === 0) throw new WireError(pointer, 'invalid-value', read.left[0] ?? 'no keys');
  return Object.freeze(read.set);
}

function readRules({ algorithms, audiences, requiredClaims, leewaySeconds, maxAgeSeconds, types }: TokenRulesMessage, pointer: string, accepted: readonly string[]): TokenRules {
  if (algorithms.length === 0) throw new WireError(`${pointer}/algorithms`, 'missing-field', 'no algorithm is accepted');
  return Object.freeze({
    algorithms: Object.freeze(boundedList(algorithms, `${pointer}/algorithms`, accepted.length).map((name) => oneWord(name, `${pointer}/algorithms`, accepted))),
    audiences: Object.freeze(boundedList(audiences, `${pointer}/audiences`, jwtMax.audiences).map((audience) => boundedText(audience, `${pointer}/audiences`, 1024))),
    requiredClaims: Object.freeze(boundedList(requiredClaims, `${pointer}/requiredClaims`, jwtMax.requiredClaims).map((rule) => readClaimRule(rule, `${pointer}/requiredClaims`))),
    leewayMs: 1000 * wholeNumber(leewaySeconds, `${pointer}/leeway`, 0, 300),
    maxAgeMs: 1000 * wholeNumber(maxAgeSeconds, `${pointer}/maximumAge`, 0, 30 * 86_400),
    types: Object.freeze(boundedList(types, `${pointer}/types`, jwtMax.types).map((type) => boundedText(type, `${pointer}/types`, 64))),
  });
}

function readClaimRule({ claim, mode, values }: ClaimRuleMessage, pointer: string): ClaimRule {
  boundedText(claim, pointer, 256);
  const known = oneWord(mode, `${pointer}/${claim}`, ['present', 'anyOf', 'allOf'] as const);
  return Object.freeze({ claim, mode: known, values: Object.freeze(boundedList(values, `${pointer}/${claim}`, jwtMax.claimValues)) });
}
