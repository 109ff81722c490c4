import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { JsonObject } from '@remora/core/canonical-json';
import type { Clock } from '@remora/core/clock';
import { subjectKey } from '@remora/core/subject';
import type { Subject } from '@remora/core/subject';
import type { Store } from '../store/store.ts';
import { IdentityError } from './identity-error.ts';

/** A join token as lists show it: without its secret, which is nowhere but with whoever it was given to. */
export interface TokenStatus {
  readonly id: string;
  readonly subject: string;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly author: string;
  readonly uses: number;
  readonly used: number;
  readonly state: 'good' | 'expired' | 'used-up' | 'revoked';
}

export type RedeemResult = { readonly ok: true } | { readonly ok: false; readonly code: 'token-unknown' | 'token-expired' | 'token-revoked' | 'token-used-up' | 'other-subject'; readonly message: string };

export interface Redemption {
  readonly id: string;
  readonly secret: string;
  readonly subject: Subject;
  readonly nodeId: string;
  /** Hash of the public key: the same instance with the same key joins again without a further use, because an answer may be lost. */
  readonly keyHash: string;
}

interface Token {
  readonly id: string;
  /** SHA-256 of the secret. It has 256 random bits: a slow hash would protect nothing. */
  readonly hash: string;
  readonly subject: string;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly author: string;
  readonly uses: number;
  revoked: boolean;
  /** `<node id>/<key hash>` of each use. */
  joined: string[];
}

export const tokenLimits = { tokensMax: 5_000, usesMax: 1_000, ttlMaxMs: 30 * 86_400_000, ttlMinMs: 60_000 } as const;

/** Tokens that are over are listed for this long. */
const keepOverMs = 7 * 86_400_000;
const namespace = 'identity.tokens';

/**
 * Join tokens: bound to one service or gateway, counted, expiring, revocable. Everything happens in one turn: two uses at once
 * of a token for one are one use. `flush` of the store makes it durable, before anybody is answered.
 */
export class JoinTokens {
  readonly #store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>;
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Token>();

  constructor(deps: { readonly store: Pick<Store, 'records' | 'putRecords' | 'flushRecords'>; readonly clock: Clock }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    for (const [id, record] of deps.store.records(namespace)) {
      const token = readToken(id, record);
      if (token) this.#tokens.set(id, token);
    }
  }

  /** Answers id and secret, this once. Durable when it returns. Throws IdentityError `too-many-tokens`. */
  create(spec: { readonly subject: Subject; readonly ttlMs: number; readonly uses: number; readonly author: string }): { readonly id: string; readonly secret: string } {
    this.#sweep();
    if (this.#tokens.size >= tokenLimits.tokensMax) throw new IdentityError('too-many-tokens', `there are ${tokenLimits.tokensMax} join tokens already; revoke some, or wait until some are forgotten (${keepOverMs / 86_400_000} days after their end)`);
    const id = randomText(12);
    const secret = randomBytes(32).toString('base64url');
    const nowMs = this.#clock.wallMs();
    const token: Token = { id, hash: hashOf(secret), subject: subjectKey(spec.subject), createdMs: nowMs, expiresMs: nowMs + spec.ttlMs, author: spec.author, uses: spec.uses, revoked: false, joined: [] };
    this.#tokens.set(id, token);
    this.#keep(token);
    this.#store.flushRecords();
    return { id, secret };
  }

  /** Newest first. */
  list(): readonly TokenStatus[] {
    this.#sweep();
    return [...this.#tokens.values()].map((token) => this.#statusOf(token)).sort((a, b) => b.createdMs - a.createdMs || (a.id < b.id ? -1 : 1));
  }

  find(id: string): TokenStatus | null {
    const token = this.#tokens.get(id);
    return token ? this.#statusOf(token) : null;
  }

  /** Nobody joins with it from now on; who joined stays. Durable when it returns; false where there is no such token. */
  revoke(id: string): boolean {
    const token = this.#tokens.get(id);
    if (!token) return false;
    token.revoked = true;
    this.#keep(token);
    this.#store.flushRecords();
    return true;
  }

  /** Whether a secret is right, and what for; counts nothing. What is wrong with a token is told only to who has its secret. */
  check(use: Redemption): RedeemResult {
    const token = this.#tokens.get(use.id);
    if (!token || !timingSafeEqual(Buffer.from(hashOf(use.secret), 'hex'), Buffer.from(token.hash, 'hex'))) {
      return refused('token-unknown', 'there is no such join token; it may have been forgotten, or be another control plane\'s');
    }
    if (token.revoked) return refused('token-revoked', `the join token ${token.id} was revoked`);
    if (token.expiresMs <= this.#clock.wallMs()) return refused('token-expired', `the join token ${token.id} expired at ${new Date(token.expiresMs).toISOString()}`);
    const wanted = subjectKey(use.subject);
    if (wanted !== token.subject) return refused('other-subject', `the join token ${token.id} is for ${token.subject}, and not for ${wanted}`);
    if (token.joined.length >= token.uses && !token.joined.includes(joinOf(use))) return refused('token-used-up', `the join token ${token.id} was used ${token.uses === 1 ? 'once, as often as' : `${token.uses} times, as often as`} it may be`);
    return { ok: true };
  }

  /** `check`, and counts the use. Durable after the next flush of the store. */
  redeem(use: Redemption): RedeemResult {
    const checked = this.check(use);
    const token = this.#tokens.get(use.id);
    if (!checked.ok || !token || token.joined.includes(joinOf(use))) return checked;
    token.joined.push(joinOf(use));
    this.#keep(token);
    return checked;
  }

  #statusOf(token: Token): TokenStatus {
    const { id, subject, createdMs, expiresMs, author, uses, joined } = token;
    const over = expiresMs <= this.#clock.wallMs() ? 'expired' : joined.length >= uses ? 'used-up' : 'good';
    return { id, subject, createdMs, expiresMs, author, uses, used: joined.length, state: token.revoked ? 'revoked' : over };
  }

  #keep({ id, ...facts }: Token): void {
    this.#store.putRecords(namespace, new Map([[id, { ...facts }]]));
  }

  #sweep(): void {
    const before = this.#clock.wallMs() - keepOverMs;
    const gone = [...this.#tokens.values()].filter(({ expiresMs }) => expiresMs < before);
    for (const { id } of gone) this.#tokens.delete(id);
    if (gone.length > 0) this.#store.putRecords(namespace, new Map(gone.map(({ id }) => [id, null])));
  }
}

function joinOf({ nodeId, keyHash }: Redemption): string {
  return `${nodeId}/${keyHash}`;
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789';

function randomText(length: number): string {
  return [...randomBytes(length)].map((byte) => alphabet[byte % alphabet.length]).join('');
}

function refused(code: (RedeemResult & { ok: false })['code'], message: string): RedeemResult {
  return { ok: false, code, message };
}

function readToken(id: string, record: JsonObject): Token | null {
  const { hash, subject, createdMs, expiresMs, author, uses, revoked, joined } = record;
  if (typeof hash !== 'string' || hash.length !== 64 || typeof subject !== 'string' || typeof createdMs !== 'number' || typeof expiresMs !== 'number' || typeof uses !== 'number' || !Array.isArray(joined)) return null;
  return { id, hash, subject, createdMs, expiresMs, author: typeof author === 'string' ? author : '', uses, revoked: revoked === true, joined: joined.filter((one): one is string => typeof one === 'string') };
}
