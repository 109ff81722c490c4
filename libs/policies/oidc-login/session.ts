import type { Json } from '@remora/core/canonical-json';
import { parseStrictJson } from '@remora/policy-kit/tokens/strict-json';

/** What a token endpoint says beside the ID token. */
export interface Grant {
  readonly refreshToken: string;
  /** Separated by spaces. */
  readonly scope: string;
  /** 0: it does not say. */
  readonly expiresInSeconds: number;
}

/** Who is logged in, as the session cookie keeps it. Times are Unix milliseconds. */
export interface Session {
  readonly sub: string;
  readonly claims: Readonly<Record<string, Json>>;
  readonly scopes: readonly string[];
  /** '': none; the session ends with its tokens. */
  readonly refreshToken: string;
  /** From here on newer tokens are asked for. */
  readonly refreshAt: number;
  /** Until here the tokens hold. */
  readonly tokensEnd: number;
  /** Whatever is refreshed. */
  readonly end: number;
}

/** A login under way, as its cookie keeps it. */
export interface Login {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  readonly target: string;
  readonly end: number;
}

/** A session that begins, or goes on with newer tokens until `end`; of the claims it keeps `iss`, `sub` and those that are named. */
export function makeSession(claims: Readonly<Record<string, Json>>, { refreshToken, scope, expiresInSeconds }: Grant, { keep, end, nowMs }: { readonly keep: readonly string[]; readonly end: number; readonly nowMs: number }): Session {
  const kept = Object.create(null) as Record<string, Json>;
  for (const name of ['iss', 'sub', ...keep]) {
    const value = claims[name];
    if (value !== undefined) kept[name] = value;
  }
  const tokensEnd = Math.min(end, nowMs + (expiresInSeconds || tokensSecondsUntold) * 1000);
  const { sub } = claims;
  return {
    sub: typeof sub === 'string' ? sub : '', claims: kept, scopes: scope.split(' ').filter((one) => one !== ''), refreshToken,
    refreshAt: tokensEnd - Math.min(refreshAheadMs, (tokensEnd - nowMs) / 4), tokensEnd, end,
  };
}

/** Of a text that was sealed here: its shape is ours. */
export function readSession(text: string): Session | null {
  return parseStrictJson(text) as unknown as Session | null;
}

export function readLogin(text: string): Login | null {
  return parseStrictJson(text) as unknown as Login | null;
}

/** RFC 6749 section 5.1 lets an issuer leave it out. */
const tokensSecondsUntold = 300;
const refreshAheadMs = 30_000;
