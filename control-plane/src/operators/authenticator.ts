import type { ApiTokenStatus, ApiTokens } from './api-tokens.ts';
import { apiTokenPrefix, parseApiToken } from './api-token-text.ts';
import { AuthenticationError } from './authentication-error.ts';
import type { AuthenticationReason } from './authentication-error.ts';
import { bearerTokenOf } from './bearer-token.ts';
import type { FailureLimiter } from './failure-limiter.ts';
import type { FirstToken } from './first-token.ts';
import type { Principal } from './principal.ts';

/** What of a request says who sends it. */
export interface RequestCredentials {
  /** Header fields as they came, names and values in turn. */
  readonly rawHeaders: readonly string[];
  readonly url: string;
  /** Of the socket's peer; what a header says of it is not believed. */
  readonly address: string;
}

/** Tokens of somebody else's making. */
export interface UserTokens {
  /** Throws AuthenticationError. */
  verify(token: string): Principal | Promise<Principal>;
  /** The principal of a token that was verified before and holds still; null: it has to be verified. */
  known(token: string): Principal | null;
}

/** What happened at the door, for metrics and the audit log. */
export interface AuthenticationEvents {
  admitted(principal: Principal, address: string): void;
  /** `id`: of the token, where it is one of ours. */
  refused(reason: AuthenticationReason, address: string, id: string): void;
}

/** Finds out who sends a request, or refuses it. */
export class Authenticator {
  readonly #deps: { readonly tokens: ApiTokens; readonly first: FirstToken; readonly users: UserTokens | null; readonly limiter: FailureLimiter; readonly events: AuthenticationEvents };

  constructor(deps: { readonly tokens: ApiTokens; readonly first: FirstToken; readonly users: UserTokens | null; readonly limiter: FailureLimiter; readonly events: AuthenticationEvents }) {
    this.#deps = deps;
  }

  /** Throws AuthenticationError. */
  async authenticate(credentials: RequestCredentials): Promise<Principal> {
    const { events } = this.#deps;
    try {
      const principal = await this.#principalOf(credentials);
      events.admitted(principal, credentials.address);
      return principal;
    } catch (error) {
      if (!(error instanceof AuthenticationError)) throw error;
      throw this.#refused(error, credentials);
    }
  }

  #principalOf({ rawHeaders, url, address }: RequestCredentials): Principal | Promise<Principal> {
    const text = bearerTokenOf(rawHeaders, url);
    // What is good is let in also from an address that has to wait: others behind the same address cannot lock it out. Only
    // random secrets and known tokens are looked at here, and neither can be guessed.
    if (text.startsWith(`${apiTokenPrefix}.`)) return this.#ownToken(text, address);
    const { users, limiter } = this.#deps;
    const known = users?.known(text);
    if (known) return known;
    const waitMs = limiter.waitMs(address);
    if (waitMs > 0) throw lockedError(waitMs);
    if (!users) throw new AuthenticationError('refused', `it is no API token of Remora (they begin with ${apiTokenPrefix}.), and this control plane knows no other issuer`);
    return users.verify(text);
  }

  #ownToken(text: string, address: string): Principal {
    const { tokens, first } = this.#deps;
    const parts = parseApiToken(text);
    if (typeof parts === 'string') throw new AuthenticationError('malformed', parts);
    const checked = tokens.check(parts);
    const isFirst = first.check(parts);
    if (isFirst) return { kind: 'first', id: parts.id, name: 'first', grants: [], expiresMs: null };
    if (!checked.ok) throw new AuthenticationError(checked.code === 'unknown' ? 'refused' : checked.code, tokenText[checked.code]);
    tokens.used(parts.id, address);
    return principalOf(checked.token);
  }

  /** Counts it. Who sends nothing at all has guessed nothing. */
  #refused(error: AuthenticationError, { address, rawHeaders, url }: RequestCredentials): AuthenticationError {
    const { limiter, events } = this.#deps;
    const waitMs = limiter.waitMs(address);
    const locked = waitMs > 0 && error.reason !== 'missing' ? lockedError(waitMs) : error;
    events.refused(locked.reason, address, idIn(rawHeaders, url));
    if (locked.reason !== 'missing' && locked.reason !== 'locked' && locked.reason !== 'not-ready') limiter.failed(address);
    return locked;
  }
}

const tokenText = {
  unknown: 'there is no such token, or it has another secret',
  expired: 'the token has expired',
  revoked: 'the token was revoked',
} as const;

export function principalOf({ id, name, role, subjects, expiresMs }: ApiTokenStatus): Principal {
  return { kind: 'token', id, name, grants: [{ role, scope: subjects && { subjects } }], expiresMs };
}

function lockedError(waitMs: number): AuthenticationError {
  return new AuthenticationError('locked', 'too many requests from this address had no valid token', waitMs);
}

/** The id that a token claims, for whoever looks for the reason; '' where it has none. */
function idIn(rawHeaders: readonly string[], url: string): string {
  try {
    const parts = parseApiToken(bearerTokenOf(rawHeaders, url));
    return typeof parts === 'string' ? '' : parts.id;
  } catch {
    return '';
  }
}
