/** Why the identity part of a control plane cannot start or do what was asked. Messages show nothing secret. */
export class IdentityError extends Error {
  readonly code: 'bad-key' | 'no-key' | 'wrong-key' | 'bad-authority' | 'too-many-tokens' | 'unknown-token' | 'too-many-revocations' | 'bad-stage' | 'no-next-authority';

  constructor(code: IdentityError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'IdentityError';
    this.code = code;
  }
}
