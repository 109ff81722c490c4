import { createHash, timingSafeEqual } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock } from '@remora/core/clock';
import type { SubjectKey } from '@remora/core/subject';
import type { Store } from '../store/store.ts';
import type { ApiTokenParts } from './api-token-text.ts';
import { makeApiToken } from './api-token-text.ts';
import type { RoleGrant } from './principal.ts';
import { roles } from './role.ts';
import type { Role } from './role.ts';

/** A token as lists show it: without its secret, which is nowhere but with whoever it was given to. */
export interface ApiTokenStatus {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** null: everything. */
  readonly subjects: readonly SubjectKey[] | null;
  readonly createdMs: number;
  readonly expiresMs: number;
  /** Who made it. */
  readonly author: string;
  readonly state: 'good' | 'expired' | 'revoked';
  /** null: never, or not since the last minute before the control plane was killed. */
  readonly lastUsed: { readonly atMs: number; readonly address: string } | null;
}

export type TokenCheck = { readonly ok: true; readonly token: ApiTokenStatus } | { readonly ok: false; readonly code: 'unknown' | 'expired' | 'revoked'; readonly id: string };

export const apiTokenLimits = { tokensMax: 5_000, subjectsMax: 100, ttlMinMs: 60_000, ttlMaxMs: 366 * 86_400_000, ttlDefaultMs: 30 * 86_400_000 } as const;

/** Names of tokens: they stand in the history as `token:<name>`. */
export const apiTokenName = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;

type Records = Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;

interface Token {
  readonly id: string;
  /** SHA-256 of the secret, in hexadecimal. It has 256 random bits, which nobody can try through: a slow hash would protect nothing and cost every request. */
  readonly hash: string;
  readonly name: string;
  readonly role: Role;
  readonly subjects: readonly SubjectKey[] | null;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly author: string;
  revokedMs: number | null;
}

interface Use {
  atMs: number;
  address: string;
  keptMs: number;
}

/** Tokens that are over are listed for this long. */
const keepOverMs = 30 * 86_400_000;
/** The last use goes to the store this often at most. */
const useEveryMs = 60_000;
const namespace = 'operators.tokens';
const usesNamespace = 'operators.token-uses';
const noHash = createHash('sha256').update('no such token').digest();

/** Thrown by `create`. */
export class TooManyApiTokens extends Error {}

/** The tokens of people and programs at the API: of one role, for everything or for some services, expiring, revocable. */
export class ApiTokens {
  readonly #store: Records;
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Token>();
  readonly #uses = new Map<string, Use>();

  constructor(deps: { readonly store: Records; readonly clock: Clock }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    for (const [id, record] of deps.store.records(namespace)) {
      const token = readToken(id, record);
      if (token) this.#tokens.set(id, token);
    }
    for (const [id, { atMs, address }] of deps.store.records(usesNamespace)) {
      if (this.#tokens.has(id) && typeof atMs === 'number' && typeof address === 'string') this.#uses.set(id, { atMs, address, keptMs: atMs });
    }
  }

  /** Answers the token in whole, this once. Durable when it returns. Throws TooManyApiTokens. */
  create(spec: { readonly name: string; readonly grant: RoleGrant; readonly ttlMs: number; readonly author: string }): { readonly text: string; readonly status: ApiTokenStatus } {
    this.#sweep();
    if (this.#tokens.size >= apiTokenLimits.tokensMax) throw new TooManyApiTokens(`there are ${apiTokenLimits.tokensMax} API tokens already; those that are over are forgotten after ${keepOverMs / 86_400_000} days`);
    const { parts, text } = makeApiToken();
    const nowMs = this.#clock.wallMs();
    const token: Token = { id: parts.id, hash: hashOf(parts.secret).toString('hex'), name: spec.name, role: spec.grant.role, subjects: spec.grant.scope?.subjects ?? null, createdMs: nowMs, expiresMs: nowMs + spec.ttlMs, author: spec.author, revokedMs: null };
    this.#tokens.set(token.id, token);
    this.#keep(token);
    this.#store.flushRecords();
    return { text, status: this.#statusOf(token) };
  }

  /** Newest first. */
  list(): readonly ApiTokenStatus[] {
    this.#sweep();
    return [...this.#tokens.values()].map((token) => this.#statusOf(token)).sort((a, b) => b.createdMs - a.createdMs || (a.id < b.id ? -1 : 1));
  }

  find(id: string): ApiTokenStatus | null {
    const token = this.#tokens.get(id);
    return token ? this.#statusOf(token) : null;
  }

  /** Some token has the rights of an administrator, whether it is still good or not. */
  get anyAdmin(): boolean {
    return [...this.#tokens.values()].some(({ role, subjects }) => role === 'admin' && subjects === null);
  }

  /** It opens nothing from now on. Durable when it returns; null where there is no such token. */
  revoke(id: string): ApiTokenStatus | null {
    const token = this.#tokens.get(id);
    if (!token) return null;
    token.revokedMs ??= this.#clock.wallMs();
    this.#keep(token);
    this.#store.flushRecords();
    return this.#statusOf(token);
  }

  /** Whether a secret is right; takes as long for ids that nobody has. What is wrong with a token is known only to who has its secret. */
  check({ id, secret }: ApiTokenParts): TokenCheck {
    const token = this.#tokens.get(id);
    const equal = timingSafeEqual(hashOf(secret), token ? Buffer.from(token.hash, 'hex') : noHash);
    if (!token || !equal) return { ok: false, code: 'unknown', id: token ? id : '' };
    if (token.revokedMs !== null) return { ok: false, code: 'revoked', id };
    if (token.expiresMs <= this.#clock.wallMs()) return { ok: false, code: 'expired', id };
    return { ok: true, token: this.#statusOf(token) };
  }

  /** Remembers that it was used; the store is told once a minute. */
  used(id: string, address: string): void {
    const atMs = this.#clock.wallMs();
    const use = this.#uses.get(id);
    if (use && Math.abs(atMs - use.keptMs) < useEveryMs && use.address === address) {
      use.atMs = atMs;
      return;
    }
    const keep = !use || Math.abs(atMs - use.keptMs) >= useEveryMs;
    this.#uses.set(id, { atMs, address, keptMs: keep ? atMs : use.keptMs });
    if (keep) this.#store.putRecords(usesNamespace, new Map([[id, { atMs, address }]]));
  }

  /** Whether a token that was good is so still: what is open is looked at again. */
  isGood(id: string): boolean {
    const token = this.#tokens.get(id);
    return token !== undefined && token.revokedMs === null && token.expiresMs > this.#clock.wallMs();
  }

  #statusOf({ id, name, role, subjects, createdMs, expiresMs, author, revokedMs }: Token): ApiTokenStatus {
    const use = this.#uses.get(id);
    const state = revokedMs !== null ? 'revoked' : expiresMs <= this.#clock.wallMs() ? 'expired' : 'good';
    return { id, name, role, subjects, createdMs, expiresMs, author, state, lastUsed: use ? { atMs: use.atMs, address: use.address } : null };
  }

  #keep({ id, ...facts }: Token): void {
    this.#store.putRecords(namespace, new Map([[id, { ...facts }]]));
  }

  #sweep(): void {
    const before = this.#clock.wallMs() - keepOverMs;
    const gone = [...this.#tokens.values()].filter(({ expiresMs, revokedMs }) => Math.min(expiresMs, revokedMs ?? expiresMs) < before);
    if (gone.length === 0) return;
    for (const { id } of gone) {
      this.#tokens.delete(id);
      this.#uses.delete(id);
    }
    const nothing = new Map(gone.map(({ id }) => [id, null]));
    this.#store.putRecords(namespace, nothing);
    this.#store.putRecords(usesNamespace, nothing);
  }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function readToken(id: string, record: JsonObject): Token | null {
  const { hash, name, role, subjects, createdMs, expiresMs, author, revokedMs } = record;
  const known = roles.find((one) => one === role);
  if (typeof hash !== 'string' || hash.length !== 64 || typeof name !== 'string' || known === undefined || typeof createdMs !== 'number' || typeof expiresMs !== 'number') return null;
  const scope = Array.isArray(subjects) ? subjects.filter((one): one is SubjectKey => typeof one === 'string' && /^(service|gateway)\/./.test(one)) : null;
  // A scope that cannot be read is no scope at all, never everything.
  if (subjects !== null && (scope === null || scope.length === 0)) return null;
  return { id, hash, name, role: known, subjects: scope, createdMs, expiresMs, author: typeof author === 'string' ? author : '', revokedMs: typeof revokedMs === 'number' ? revokedMs : null };
}
