/** Why nobody is let in. `expired` and `revoked` are said only to who has the right secret. */
export type AuthenticationReason = 'missing' | 'twice' | 'not-bearer' | 'malformed' | 'refused' | 'expired' | 'revoked' | 'locked' | 'not-ready';

/** A request whose sender is not known. `retryAfterMs`: of an address that has to wait, or of an issuer whose keys are not there yet. */
export class AuthenticationError extends Error {
  readonly reason: AuthenticationReason;
  readonly retryAfterMs: number;

  constructor(reason: AuthenticationReason, detail: string, retryAfterMs = 0) {
    super(detail);
    this.name = 'AuthenticationError';
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}
