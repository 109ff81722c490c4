import { boundedList, boundedText, decodeMessage, wholeNumber } from '@remora/policy-kit/wire-check';
import { keySourceName } from '@remora/policy-kit/tokens/issuer-keys';
import { OidcLogin } from './gen/oidc-login.ts';
import { oidcReasons } from './reasons.ts';

export interface OidcLoginSettings {
  readonly issuer: string;
  readonly allowPrivateAddresses: boolean;
  readonly clientId: string;
  /** Names of facts of kind `secret`. */
  readonly clientSecret: string;
  readonly sessionKey: string;
  /** '': none. */
  readonly formerSessionKey: string;
  readonly scopes: readonly string[];
  readonly callbackPath: string;
  readonly logoutPath: string;
  readonly cookieName: string;
  /** '': of the host alone. */
  readonly cookieDomain: string;
  readonly sessionSeconds: number;
  readonly claims: readonly string[];
  readonly neverRedirect: boolean;
  readonly deadlineMs: number;
  /** Where the issuer's keys come from; what the control thread follows. */
  readonly source: { readonly name: string; readonly issuer: string; readonly uri: string; readonly allowPrivateAddresses: boolean; readonly maxAgeMs: number };
}

export const oidcLoginMax = { scopes: 32, claims: 32 } as const;

export const oidcLoginWire = { name: 'oidcLogin', format: 1, reasons: oidcReasons, decode: decodeOidcLogin } as const;

function decodeOidcLogin(bytes: Uint8Array): OidcLoginSettings {
  const message = decodeMessage(OidcLogin, bytes);
  const issuer = boundedText(message.issuer, '/issuer', 2048, /^https?:\/\//);
  const { allowPrivateAddresses } = message;
  const source = { issuer, uri: '', allowPrivateAddresses };
  return Object.freeze({
    issuer,
    allowPrivateAddresses,
    clientId: boundedText(message.clientId, '/clientId', 256, /./),
    clientSecret: boundedText(message.clientSecret, '/clientSecret/secret', 63, secretName),
    sessionKey: boundedText(message.sessionKey, '/sessionKey/secret', 63, secretName),
    formerSessionKey: message.formerSessionKey === '' ? '' : boundedText(message.formerSessionKey, '/formerSessionKey/secret', 63, secretName),
    scopes: Object.freeze(boundedList(message.scopes, '/scopes', oidcLoginMax.scopes).map((scope) => boundedText(scope, '/scopes', 256, /^[\x21\x23-\x5b\x5d-\x7e]+$/))),
    callbackPath: boundedText(message.callbackPath, '/callbackPath', 256, ownPath),
    logoutPath: boundedText(message.logoutPath, '/logoutPath', 256, ownPath),
    cookieName: boundedText(message.cookieName, '/cookie/name', 64, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/),
    cookieDomain: boundedText(message.cookieDomain, '/cookie/domain', 253, /^[a-z0-9.-]*$/),
    sessionSeconds: wholeNumber(message.sessionSeconds, '/cookie/lifetime', 60, 30 * 86_400),
    claims: Object.freeze(boundedList(message.claims, '/claims', oidcLoginMax.claims).map((claim) => boundedText(claim, '/claims', 256, /./))),
    neverRedirect: message.neverRedirect,
    deadlineMs: wholeNumber(message.deadlineMs, '/deadline', 50, 10_000),
    source: Object.freeze({ ...source, name: keySourceName(source), maxAgeMs: keysMaxAgeMs }),
  });
}

const secretName = /^[a-z0-9-]+$/;
const ownPath = /^(?:\/[A-Za-z0-9._~-]+)+$/;
/** As jwt's `keysMaximumAge` has it by default. */
const keysMaxAgeMs = 24 * 3_600_000;
