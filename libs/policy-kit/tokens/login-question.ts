import { parseStrictJsonBytes } from './strict-json.ts';

/** What a filter asks the control thread, under the topic `oidcLogin`. */
export interface LoginQuestion {
  readonly issuer: string;
  readonly allowPrivateAddresses: boolean;
  readonly clientId: string;
  /** Name of the Secret. */
  readonly clientSecret: string;
  readonly deadlineMs: number;
  /** `addresses`: of the issuer, by discovery. `code`: exchange a code. `refresh`: newer tokens. */
  readonly want: 'addresses' | 'code' | 'refresh';
  /** The code, or the refresh token; '' for addresses. */
  readonly grant: string;
  readonly redirectUri: string;
  readonly verifier: string;
  /** Of the login that a code is of: taken once for all data threads. '' where there is no code. */
  readonly state: string;
}

/**
 * `unavailable`: the issuer, or its addresses, cannot be had. `secret`: the Secret with the client's password is not here. `refused`: the issuer said no.
 * `replayed`: the state was used before. `unusable`: the issuer's answer is none that can be used.
 */
export type LoginAnswer =
  | { readonly outcome: 'addresses'; readonly authorization: string; readonly endSession: string; /** A login that is begun could not be ended. */ readonly secretMissing: boolean }
  | { readonly outcome: 'tokens'; readonly idToken: string; readonly refreshToken: string; readonly scope: string; readonly expiresInSeconds: number }
  | { readonly outcome: 'unavailable' | 'secret' | 'refused' | 'replayed' | 'unusable'; readonly problem: string };

export function encodeLoginQuestion(question: LoginQuestion): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(question));
}

export function decodeLoginQuestion(body: Uint8Array): LoginQuestion {
  return JSON.parse(Buffer.from(body).toString()) as LoginQuestion;
}

export function encodeLoginAnswer(answer: LoginAnswer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(answer));
}

export function decodeLoginAnswer(body: Uint8Array | null): LoginAnswer {
  const read = body === null ? null : parseStrictJsonBytes(body);
  if (typeof read !== 'object' || read === null || Array.isArray(read)) return { outcome: 'unavailable', problem: 'nobody answers here' };
  return read as unknown as LoginAnswer;
}
