/** Why a secret cannot be written, deleted or read from its source. Messages show nothing of a value. */
export class SecretError extends Error {
  readonly code: 'too-many-secrets' | 'bad-secret' | 'source-failed';

  constructor(code: SecretError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SecretError';
    this.code = code;
  }
}
