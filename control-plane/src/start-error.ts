/** Why a control plane does not start, where that is no defect and not the store's. */
export class StartError extends Error {
  /** `refused`: by a rule of ours; another setting is needed. `port`: it cannot be bound; it may be free later. */
  readonly kind: 'refused' | 'port';

  constructor(kind: 'refused' | 'port', message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.kind = kind;
  }
}
