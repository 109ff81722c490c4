import type { Json } from '@remora/core/canonical-json';
import { parseStrictJson } from '@remora/policy-kit/tokens/strict-json';

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

/** Of a text that was sealed here: its shape is ours. */
export function readSession(text: string): Session | null {
  return parseStrictJson(text) as unknown as Session | null;
}

export function readLogin(text: string): Login | null {
  return parseStrictJson(text) as unknown as Login | null;
}
