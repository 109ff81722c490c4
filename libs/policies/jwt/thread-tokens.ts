import type { FactBook } from '@remora/policy-kit/facts';
import type { Exchange } from '@remora/policy-kit/exchange';
import { ThreadShare } from '@remora/policy-kit/tokens/thread-share';
import { TokenCache } from '@remora/policy-kit/tokens/token-cache';
import type { AcceptedToken } from './accepted-token.ts';
import { RejectedTokens } from './rejected-tokens.ts';

/** Something that a request waits for, and how it goes on with the outcome. */
export interface Waiter<T> {
  readonly x: Exchange;
  /** `x.token` when it began to wait. */
  readonly token: number;
  readonly resume: (x: Exchange, token: number, outcome: T) => void;
}

/** What all jwt policies of one data thread share, over all snapshots: verified tokens stay verified when a policy is edited. */
export class ThreadTokens {
  readonly accepted = new TokenCache<AcceptedToken>();
  readonly rejected = new RejectedTokens();
  /** Verifications under way: requests with the same token wait for the same one. */
  readonly underway = new Map<string, Waiter<boolean>[]>();
  /** Questions for newer keys under way, by name of the source. */
  readonly asked = new Map<string, Waiter<null>[]>();
  /** Monotonic milliseconds from which a source may be asked for again. */
  readonly askAgainAt = new Map<string, number>();
  waiting = 0;
  /** For signatures that are verified on this thread. */
  readonly atOnce: ThreadShare;

  static over(book: FactBook, atOnceBurstMs = burstMs): ThreadTokens {
    let tokens = byBook.get(book);
    if (tokens === undefined) byBook.set(book, tokens = new ThreadTokens(atOnceBurstMs));
    return tokens;
  }

  private constructor(atOnceBurstMs: number) {
    this.atOnce = new ThreadShare({ share: atOnceShare, burstMs: atOnceBurstMs, now: () => performance.now() });
  }
}

const byBook = new WeakMap<FactBook, ThreadTokens>();

/** Signatures that one data thread may have under way. */
export const underwayMax = 256;
/** Requests of one data thread that may wait for signatures and keys. */
export const waitingMax = 2048;

/** At once a signature of P-256 takes 66 µs, in libuv's threads 85 and the way there and back: up to some 1,500 a second are verified where they are needed. */
const atOnceShare = 0.1;
const burstMs = 0.5;
