import { parseDurationMs } from '@remora/core/units';
import type { AuthoringKind } from '@remora/policy-kit/authoring-kind';
import { OidcLogin } from './gen/oidc-login.ts';
import { checkOidcLogin, oidcLoginDefaults, oidcLoginSchema, type EffectiveOidcLogin } from './schema.ts';

/** What the control plane knows of oidcLogin: provider side. */
export const oidcLoginAuthoring: AuthoringKind = {
  name: 'oidcLogin',
  side: 'provider',
  always: false,
  shadow: true,
  format: 1,
  consumers: true,
  secrets: (effective) => {
    const { clientSecret, sessionKey, formerSessionKey }: EffectiveOidcLogin = effective;
    return [clientSecret, sessionKey, formerSessionKey].flatMap((one) => (one === undefined ? [] : [one.secret]));
  },
  schema: oidcLoginSchema,
  defaults: oidcLoginDefaults,
  check: checkOidcLogin,
  compile: (effective) => ({ minFormat: 1, body: OidcLogin.encode(toMessage(effective)).finish() }),
};

function toMessage({ cookie = {}, ...section }: EffectiveOidcLogin): OidcLogin {
  return {
    issuer: section.issuer ?? '',
    allowPrivateAddresses: section.allowPrivateAddresses ?? false,
    clientId: section.clientId ?? '',
    clientSecret: section.clientSecret?.secret ?? '',
    sessionKey: section.sessionKey?.secret ?? '',
    formerSessionKey: section.formerSessionKey?.secret ?? '',
    scopes: [...new Set(section.scopes)].sort(),
    callbackPath: section.callbackPath ?? '',
    logoutPath: section.logoutPath ?? '',
    cookieName: cookie.name ?? '',
    cookieDomain: cookie.domain ?? '',
    sessionSeconds: Math.ceil((parseDurationMs(cookie.lifetime ?? '') ?? 0) / 1000),
    claims: [...new Set(section.claims)].sort(),
    neverRedirect: section.browsers === 'refuse',
    deadlineMs: parseDurationMs(section.deadline ?? '') ?? 0,
  };
}
