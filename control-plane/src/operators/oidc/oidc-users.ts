import { createHash } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import { decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { JWTPayload } from 'jose';
import { AuthenticationError } from '../authentication-error.ts';
import type { UserTokens } from '../authenticator.ts';
import type { Principal } from '../principal.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import { grantsOf } from './role-rules.ts';
import type { RoleRules } from './role-rules.ts';

/** Asymmetric only: with a shared secret whoever verifies could sign (RFC 8725 section 3.1 and 3.2). */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
/** Clocks of issuers and ours. */
const leewaySeconds = 60;
const knownMax = 2_000;

export interface OidcUsersDeps {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: Pick<IssuerKeys, 'withKey' | 'problem' | 'onChange'>;
  readonly rules: () => RoleRules;
  readonly clock: Clock;
}

/** Tokens of a company's issuer: verified once, then remembered until they end or what they were judged by changes. */
export class OidcUsers implements UserTokens {
  readonly #deps: OidcUsersDeps;
  /** By SHA-256 of the token. */
  readonly #known = new Map<string, Principal>();

  constructor(deps: OidcUsersDeps) {
    this.#deps = deps;
    deps.keys.onChange(() => this.forget());
  }

  /** Keys or rules changed. */
  forget(): void {
    this.#known.clear();
  }

  known(token: string): Principal | null {
    const key = hashOf(token);
    const principal = this.#known.get(key);
    if (!principal) return null;
    if ((principal.expiresMs ?? 0) + leewaySeconds * 1_000 > this.#deps.clock.wallMs()) return principal;
    this.#known.delete(key);
    return null;
  }

  async verify(token: string): Promise<Principal> {
    const { issuer, audience, keys, clock } = this.#deps;
    const set = await keys.withKey(keyIdOf(token));
    if (!set) throw new AuthenticationError('not-ready', `the keys of ${issuer} are not known${keys.problem === '' ? '' : `: ${keys.problem}`}`, 5_000);
    let claims: JWTPayload;
    try {
      ({ payload: claims } = await jwtVerify(token, set, { issuer, audience, algorithms, clockTolerance: leewaySeconds, requiredClaims: ['exp', 'sub'], currentDate: new Date(clock.wallMs()) }));
    } catch (error) {
      throw refusalOf(error, issuer);
    }
    const principal = this.#principalOf(claims);
    this.#remember(hashOf(token), principal);
    return principal;
  }

  #principalOf(claims: JWTPayload): Principal {
    const { issuer, rules } = this.#deps;
    const known = rules();
    const { sub = '', exp = 0 } = claims;
    return { kind: 'user', id: `${issuer}#${printable(sub, 255)}`, name: nameOf(claims, known.nameClaim), grants: grantsOf(known, claims), expiresMs: exp * 1_000 };
  }

  #remember(key: string, principal: Principal): void {
    this.#known.set(key, principal);
    if (this.#known.size <= knownMax) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}

/** Throws where it is no JWT, before anybody is asked for its key. */
function keyIdOf(token: string): string | undefined {
  try {
    const { kid, alg } = decodeProtectedHeader(token);
    if (typeof alg !== 'string' || !algorithms.includes(alg)) throw new Error('alg');
    return typeof kid === 'string' ? kid.slice(0, 500) : undefined;
  } catch {
    throw new AuthenticationError('malformed', 'it is neither an API token nor a signed JWT with an algorithm that is taken here');
  }
}

/** What is wrong with the claims is told only of a token that the issuer signed. */
function refusalOf(error: unknown, issuer: string): AuthenticationError {
  if (error instanceof errors.JWTExpired) return new AuthenticationError('expired', 'the token has expired: `remora login`');
  if (error instanceof errors.JWTClaimValidationFailed) return new AuthenticationError('refused', `the token is not for here: its claim ${printable(error.claim, 50)} is not what is expected`);
  return new AuthenticationError('refused', `the token is not one that ${issuer} signed`);
}

/** For people: the claim that the rules name, or the usual ones. An address that nobody confirmed is nobody's. */
function nameOf(claims: JWTPayload, nameClaim: string): string {
  const candidates = nameClaim === '' ? [claims['preferred_username'], claims['email_verified'] === true ? claims['email'] : undefined, claims.sub] : [claims[nameClaim], claims.sub];
  const name = candidates.find((one): one is string => typeof one === 'string' && one.trim() !== '') ?? '';
  return printable(name.trim(), 128);
}

/** Names reach terminals and logs. */
function printable(text: string, charsMax: number): string {
  return text.slice(0, charsMax).replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}
