import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { ConsumerPassword } from '@remora/policy-kit/consumer-credentials';
import type { FactBook } from '@remora/policy-kit/facts';
import { RecentMap } from '@remora/policy-kit/recent-map';
import { readBasicCredentials, type BasicCredentials } from './basic-credentials.ts';

/** `pending`: `wait` is called with the verdict. `overload`: too many wait. */
export type PasswordVerdict = ConsumerPassword | 'wrong' | 'warming';
export type PasswordAnswer = PasswordVerdict | 'pending' | 'overload';

/** Hashes made at once by one data thread, each on a thread of Node's pool; what waits beside them; what is remembered, twice at most. */
export const passwordLimits = { atOnce: 2, waiting: 256, right: 4_096, wrong: 1_024, wrongMs: 5_000 } as const;

interface Verification {
  readonly digest: string;
  readonly credentials: BasicCredentials;
  readonly waiters: ((verdict: PasswordVerdict) => void)[];
}

/**
 * Passwords as the filters of one thread verify them: by scrypt, off the thread. What was right is remembered under a keyed hash of what was shown, for as
 * long as the password is the same; what was wrong for a moment, so that repeating it costs nothing. A name that nobody has costs as much as one that
 * somebody has.
 */
export class PasswordChecks {
  readonly #directory: ConsumerDirectory;
  readonly #clock: Clock;
  /** Of this thread alone: what is remembered is of no use elsewhere. */
  readonly #key = randomBytes(32);
  readonly #right = new RecentMap<{ readonly user: string; readonly hash: Uint8Array }>(passwordLimits.right);
  readonly #wrong = new RecentMap<{ readonly hash: Uint8Array | null; readonly user: string; readonly untilMs: number }>(passwordLimits.wrong);
  readonly #queue: Verification[] = [];
  readonly #underway = new Map<string, Verification>();
  #waiting = 0;
  #running = 0;

  /** One for all filters of a thread. */
  static over(book: FactBook, clock: Clock): PasswordChecks {
    let checks = all.get(book);
    if (checks === undefined) all.set(book, checks = new PasswordChecks(book, clock));
    return checks;
  }

  private constructor(book: FactBook, clock: Clock) {
    this.#directory = consumerDirectory(book);
    this.#clock = clock;
  }

  /** `encoded`: as in the header. `wait` null: only what is known is answered, and the verification is begun. */
  check(encoded: string, wait: ((verdict: PasswordVerdict) => void) | null): PasswordAnswer {
    if (!this.#directory.known) return 'warming';
    const digest = createHmac('sha256', this.#key).update(encoded).digest('base64');
    const known = this.#known(digest);
    if (known !== null) return known;
    const same = this.#underway.get(digest);
    if (same === undefined && this.#queue.length >= passwordLimits.waiting) return 'overload';
    if (this.#waiting >= passwordLimits.waiting * 4) return 'overload';
    const credentials = same?.credentials ?? readBasicCredentials(encoded);
    if (credentials === null) return 'wrong';
    const verification = same ?? { digest, credentials, waiters: [] };
    if (wait !== null) {
      verification.waiters.push(wait);
      this.#waiting++;
    }
    if (same === undefined) {
      this.#underway.set(digest, verification);
      this.#queue.push(verification);
      this.#next();
    }
    return 'pending';
  }

  #known(digest: string): PasswordVerdict | null {
    const right = this.#right.get(digest);
    if (right !== undefined) {
      const password = this.#directory.byUser(right.user);
      if (password !== null && sameBytes(password.hash, right.hash)) return password;
      this.#right.delete(digest);
      return null;
    }
    const wrong = this.#wrong.get(digest);
    if (wrong === undefined) return null;
    const hash = this.#directory.byUser(wrong.user)?.hash ?? null;
    const same = hash === null ? wrong.hash === null : wrong.hash !== null && sameBytes(hash, wrong.hash);
    if (same && this.#clock.monotonicMs() < wrong.untilMs) return 'wrong';
    this.#wrong.delete(digest);
    return null;
  }

  #next(): void {
    while (this.#running < passwordLimits.atOnce) {
      const verification = this.#queue.shift();
      if (verification === undefined) return;
      this.#running++;
      this.#verify(verification);
    }
  }

  #verify({ digest, credentials, waiters }: Verification): void {
    const { user, password: shown } = credentials;
    const password = this.#directory.byUser(user);
    const { salt, cost, blockSize, parallelization, hash } = password !== null && isAcceptable(password) ? password : nobody;
    const done = (equal: boolean): void => {
      this.#running--;
      this.#underway.delete(digest);
      this.#waiting -= waiters.length;
      const right = equal && password !== null;
      if (right) this.#right.set(digest, { user, hash: password.hash });
      else this.#wrong.set(digest, { user, hash: password?.hash ?? null, untilMs: this.#clock.monotonicMs() + passwordLimits.wrongMs });
      // Changed while it was being verified: what is known now counts.
      const verdict = right ? (this.#known(digest) ?? 'wrong') : 'wrong';
      for (const tell of waiters) tell(verdict);
      this.#next();
    };
    scrypt(shown, salt, hash.length, { cost, blockSize, parallelization, maxmem: memoryMax * 2 }, (error, derived) => done(error === null && password !== null && isAcceptable(password) && timingSafeEqual(derived, hash)));
  }
}

const all = new WeakMap<FactBook, PasswordChecks>();
const memoryMax = 64 * 1024 * 1024;
/** As costly as one that the control plane makes. */
const nobody = { salt: randomBytes(16), cost: 16_384, blockSize: 8, parallelization: 1, hash: randomBytes(32) };

/** Parameters that a thread of the pool can bear. */
function isAcceptable({ salt, cost, blockSize, parallelization, hash }: ConsumerPassword): boolean {
  return cost >= 2 && (cost & (cost - 1)) === 0 && blockSize >= 1 && parallelization >= 1 && parallelization <= 16 && 128 * cost * blockSize <= memoryMax && salt.length <= 64 && hash.length >= 16 && hash.length <= 64;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && timingSafeEqual(a, b));
}
