import { IdentityError } from './identity-error.ts';
import type { Sealer } from './sealer.ts';

/** Seals with the key of today, and opens what an earlier one sealed too: for as long as not everything is sealed anew. */
export function createRotatingSealer(current: Sealer, previous: readonly Sealer[]): Sealer {
  return {
    encrypts: current.encrypts,
    isCurrent: (sealed) => current.isCurrent(sealed),
    seal: (purpose, secret) => current.seal(purpose, secret),
    open(purpose, sealed) {
      try {
        return current.open(purpose, sealed);
      } catch (error) {
        if (!(error instanceof IdentityError) || error.code !== 'wrong-key') throw error;
        for (const sealer of previous) {
          try {
            return sealer.open(purpose, sealed);
          } catch (other) {
            if (!(other instanceof IdentityError) || other.code !== 'wrong-key') throw other;
          }
        }
        throw error;
      }
    },
  };
}

/** Where no key is given and nothing may be kept in clear: `why` says how to give one. */
export function createRefusingSealer(why: string): Sealer {
  const refuse = (): never => {
    throw new IdentityError('no-key', why);
  };
  return { encrypts: false, isCurrent: () => false, seal: refuse, open: refuse };
}
