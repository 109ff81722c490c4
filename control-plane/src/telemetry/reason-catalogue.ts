/** Why requests were refused, and by which policy. */
export interface ReasonIdentity {
  readonly reason: string;
  readonly kind: string;
  readonly policy: string;
  readonly shadow: boolean;
}

const max = 4_096;

/** Numbers for reasons; never given back, bounded: beyond 4,096 they count as `_overflow`. */
export class ReasonCatalogue {
  readonly #ids = new Map<string, number>();
  readonly #reasons: ReasonIdentity[] = [{ reason: '_overflow', kind: '', policy: '', shadow: false }, { reason: '_overflow', kind: '', policy: '', shadow: true }];

  idOf(identity: ReasonIdentity): number {
    const key = JSON.stringify([identity.reason, identity.kind, identity.policy, identity.shadow]);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    if (this.#reasons.length >= max) return identity.shadow ? 1 : 0;
    const id = this.#reasons.push(identity) - 1;
    this.#ids.set(key, id);
    return id;
  }

  get(id: number): ReasonIdentity {
    return this.#reasons[id] ?? { reason: '_overflow', kind: '', policy: '', shadow: false };
  }
}
