/** Why a credential is refused. Messages show nothing of what was given. */
export class ConsumerError extends Error {
  readonly code: 'taken' | 'too-many-credentials' | 'bad-credential';
  /** Field of the request that is wrong, as a JSON pointer; '' where none is. */
  readonly pointer: string;

  constructor(code: ConsumerError['code'], message: string, pointer = '') {
    super(message);
    this.name = 'ConsumerError';
    this.code = code;
    this.pointer = pointer;
  }
}
