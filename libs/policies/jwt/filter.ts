import { HeaderAliases } from '@remora/http/header-aliases';
import { WAIT, type Answer, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { readCompactToken, type CompactToken } from '@remora/policy-kit/tokens/compact-token';
import { IssuerKeys } from '@remora/policy-kit/tokens/issuer-keys';
import type { KeySet } from '@remora/policy-kit/tokens/key-set';
import type { VerificationKey } from '@remora/policy-kit/tokens/verification-key';
import type { AcceptedToken, Judgement } from './accepted-token.ts';
import { ConsumerTrust, IssuerTrust, type Trust } from './issuer-trust.ts';
import { Judge } from './judge.ts';
import { jwksUnavailable, jwksWarming, jwtEarly, jwtExpired, jwtInvalid, jwtIssuer, jwtKey, jwtOverload, jwtSignature } from './reasons.ts';
import { bearerChallenge, Refusals } from './refusals.ts';
import { ThreadTokens, underwayMax, waitingMax, type Waiter } from './thread-tokens.ts';
import { ambiguous, createTokenReader, type TokenReader } from '@remora/policy-kit/tokens/token-reader';
import { createCredentialRemover } from '@remora/policy-kit/credential-places';
import { timesOf } from './token-rules.ts';
import { jwtWire, type JwtSettings } from './wire.ts';

/** Finds the token of a request and verifies it. Refuses nothing by itself: `authentication` decides over what it found. */
export const jwtRuntime: RuntimeKind<JwtSettings> = {
  ...jwtWire,
  side: 'provider',
  edge: (settings, context) => new JwtFilter(settings, context),
};

class JwtFilter implements EdgeFilter {
  readonly kind = 'jwt';
  readonly #settings: JwtSettings;
  readonly #context: FilterContext;
  readonly #refusals: Refusals;
  readonly #read: TokenReader;
  readonly #remove: ReturnType<typeof createCredentialRemover> | null;
  readonly #aliases: HeaderAliases | null;
  readonly #tokens: ThreadTokens;
  readonly #judge: Judge;
  readonly #trusts: ReadonlyMap<string, IssuerTrust>;
  readonly #consumers: ConsumerTrust | null;
  readonly #cached: () => void;
  readonly #verified: () => void;

  constructor(settings: JwtSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#refusals = new Refusals(context);
    this.#read = createTokenReader(settings.tokenFrom);
    this.#remove = settings.forwardToken ? null : createCredentialRemover(settings.tokenFrom);
    this.#aliases = settings.claimsToHeaders.length === 0 ? null : new HeaderAliases(settings.claimsToHeaders.map(({ header }) => header));
    const books = { jwks: context.facts('jwks'), consumers: context.facts('consumers') };
    this.#tokens = ThreadTokens.over(books.jwks);
    this.#judge = new Judge(settings, this.#refusals, books);
    const fetched = IssuerKeys.over(books.jwks);
    this.#trusts = new Map(settings.issuers.map((issuer) => [issuer.issuer, new IssuerTrust(issuer, fetched)]));
    this.#consumers = settings.consumerTokens === null ? null : new ConsumerTrust(settings.consumerTokens, books.consumers);
    this.#cached = context.counter('jwt_cached');
    this.#verified = context.counter('jwt_verified');
  }

  request(x: Exchange): Verdict {
    const identity = (x.identity ??= new RequestIdentity());
    identity.looks('jwt');
    if (this.#aliases !== null) x.head.removeAliases(this.#aliases);
    const text = this.#read(x);
    if (text === null) {
      identity.challenge(bearerChallenge);
      return null;
    }
    if (text === ambiguous) return this.#fail(x, this.#refusals.of(jwtInvalid, '/tokenFrom', 'more than one token'));
    const token = this.#tokens.accepted.get(text);
    if (token !== undefined) {
      const judgement = this.#judgementOf(token);
      if (judgement !== null) {
        this.#cached();
        // It is of no use to anybody any more.
        if (x.startedWallMs >= judgement.expiresMs) this.#tokens.accepted.delete(token);
        return this.#conclude(x, judgement);
      }
    }
    return this.#verify(x, text, true);
  }

  // --- what is known already --------------------------------------------------------------------------------------

  /** null: it has to be verified again, or this policy knows nobody who vouches for it. */
  #judgementOf(token: AcceptedToken): Judgement | null {
    const known = this.#judge.known(token);
    if (known !== null) return known;
    const trust = this.#trustOf(token.issuer);
    if (trust === null || !trust.still(token.trust) || !trust.rules.algorithms.includes(token.algorithm)) return null;
    return this.#judgeBy(token, trust);
  }

  #judgeBy(token: AcceptedToken, trust: Trust): Judgement {
    const owner = trust instanceof ConsumerTrust ? trust.ownerOf(token.key) : undefined;
    return this.#judge.judge(token, trust, owner?.consumer ?? null, owner?.expiresMs ?? Number.POSITIVE_INFINITY);
  }

  #trustOf(issuer: string): Trust | null {
    const trust = this.#trusts.get(issuer);
    if (trust !== undefined) return trust;
    return this.#consumers !== null && this.#consumers.knows(issuer) ? this.#consumers : null;
  }

  #conclude(x: Exchange, judgement: Judgement): null {
    const nowMs = x.startedWallMs;
    if (judgement.failure !== null) return this.#fail(x, judgement.failure);
    if (nowMs >= judgement.expiresMs) return this.#fail(x, this.#refusals.of(jwtExpired, '', endedAt(judgement.expiresMs)));
    if (nowMs < judgement.notBeforeMs) return this.#fail(x, this.#refusals.of(jwtEarly, '', beginsAt(judgement.notBeforeMs)));
    (x.identity ??= new RequestIdentity()).finds('jwt', judgement.found);
    if (this.#remove !== null) this.#remove(x.head);
    for (const field of judgement.fields) x.head.put(field);
    return null;
  }

  #fail(x: Exchange, refusal: Answer): null {
    (x.identity ??= new RequestIdentity()).fails('jwt', refusal);
    return null;
  }

  // --- what is seen first -----------------------------------------------------------------------------------------

  /** `mayAsk`: for newer keys, where the token names one that is not among ours. */
  #verify(x: Exchange, text: string, mayAsk: boolean): Verdict {
    const read = readCompactToken(text);
    if ('problem' in read) {
      if (read.opaque && this.#settings.ignoreOtherTokens) return null;
      return this.#fail(x, this.#refusals.of(jwtInvalid, '', read.problem));
    }
    const { iss } = read.claims;
    const issuer = typeof iss === 'string' ? iss : '';
    const trust = this.#trustOf(issuer);
    if (trust === null) return this.#settings.ignoreOtherTokens ? null : this.#fail(x, this.#refusals.of(jwtIssuer, '/issuers', `iss is ${JSON.stringify(issuer.slice(0, 200))}`));
    const refusal = this.#refuseEarly(read, trust, x.startedWallMs);
    if (refusal !== null) return this.#fail(x, refusal);
    const keys = trust.keys(read, issuer);
    if (keys === null) return this.#fail(x, this.#refusals.of(jwksWarming, trust.pointer, 'no keys of the issuer have come yet'));
    if (trust.source !== null && keys.keys.length === 0) return this.#fail(x, this.#refusals.of(jwksUnavailable, trust.pointer, 'the keys of the issuer are older than keysMaximumAge'));
    const candidates = keys.candidates(read.algorithm, read.keyId);
    if (candidates.length > 0) return this.#check({ text, read, issuer, trust, keys }, candidates, x);
    if (mayAsk && trust.source !== null && this.#askForKeys(x, text, trust.source.name)) return WAIT;
    return this.#fail(x, this.#refusals.of(jwtKey, trust.pointer, read.keyId === null ? `no key fits ${read.algorithm.name}` : `no key ${JSON.stringify(read.keyId.slice(0, 64))} for ${read.algorithm.name}`));
  }

  /** What costs no verification. */
  #refuseEarly({ claims, algorithm }: CompactToken, trust: Trust, nowMs: number): Answer | null {
    if (!trust.rules.algorithms.includes(algorithm.name)) return this.#refusals.of(jwtInvalid, `${trust.pointer}/algorithms`, `signed with ${algorithm.name}`);
    const times = timesOf(claims, trust.rules);
    if ('reason' in times) return this.#refusals.of(times.reason, trust.pointer, times.detail);
    return nowMs >= times.expiresMs ? this.#refusals.of(jwtExpired, trust.pointer, endedAt(times.expiresMs)) : null;
  }

  #check(seen: SeenToken, candidates: readonly VerificationKey[], x: Exchange): Verdict {
    const { text, keys, trust, read } = seen;
    const tokens = this.#tokens;
    if (tokens.rejected.has(text, keys, this.#context.clock.monotonicMs())) return this.#fail(x, this.#refusals.of(jwtSignature, trust.pointer, 'as a moment ago'));
    if (this.#context.shadow) {
      const key = candidates.find((one) => one.verifyNow(read.algorithm, read.signedBytes, read.signature));
      return this.#settle(x, seen, key ?? null);
    }
    const running = tokens.underway.get(text);
    const [only] = candidates;
    if (running === undefined && candidates.length === 1 && only !== undefined) {
      const valid = tokens.atOnce.spend(() => only.verifyNow(read.algorithm, read.signedBytes, read.signature));
      if (valid !== null) return this.#settle(x, seen, valid ? only : null);
    }
    if (running === undefined ? tokens.underway.size >= underwayMax : tokens.waiting >= waitingMax) {
      this.#context.count('jwt_overload');
      return this.#fail(x, this.#refusals.of(jwtOverload, trust.pointer, `${tokens.underway.size} signatures are being verified`));
    }
    const resume = (later: Exchange, token: number): void => this.#resume(later, token, text);
    const waiter: Waiter<boolean> = { x, token: x.token, resume };
    tokens.waiting++;
    if (running !== undefined) {
      running.push(waiter);
      return WAIT;
    }
    return this.#begin(seen, candidates, waiter);
  }

  /** Verifies in the threads of libuv, one candidate after the other. What is known at once needs no waiting. */
  #begin(seen: SeenToken, candidates: readonly VerificationKey[], first: Waiter<boolean>): Verdict {
    const { text, read } = seen;
    const { underway } = this.#tokens;
    const waiters = [first];
    let atOnce = true;
    let settled: VerificationKey | null | undefined;
    const settle = (key: VerificationKey | null): void => {
      settled = key;
      if (atOnce) return;
      underway.delete(text);
      this.#keep(seen, key);
      for (const waiter of waiters) {
        this.#tokens.waiting--;
        if (waiter.x.token === waiter.token) waiter.resume(waiter.x, waiter.token, key !== null);
      }
    };
    const attempt = (i: number): void => {
      const key = candidates[i];
      if (key === undefined) settle(null);
      else key.verify(read.algorithm, read.signedBytes, read.signature, (valid) => (valid ? settle(key) : attempt(i + 1)));
    };
    attempt(0);
    atOnce = false;
    if (settled === undefined) {
      underway.set(text, waiters);
      return WAIT;
    }
    this.#tokens.waiting--;
    return this.#settle(first.x, seen, settled);
  }

  /** The outcome is in the caches; keys that changed meanwhile are asked again, once. */
  #resume(x: Exchange, token: number, text: string): void {
    const accepted = this.#tokens.accepted.get(text);
    const judgement = accepted === undefined ? null : this.#judgementOf(accepted);
    const verdict = judgement === null ? this.#verify(x, text, false) : this.#conclude(x, judgement);
    if (verdict !== WAIT) x.proceed(token);
  }

  #settle(x: Exchange, seen: SeenToken, key: VerificationKey | null): null {
    const accepted = this.#keep(seen, key);
    if (accepted === null) return this.#fail(x, this.#refusals.of(jwtSignature, seen.trust.pointer, 'none of the keys has made this signature'));
    return this.#conclude(x, this.#judgeBy(accepted, seen.trust));
  }

  #keep({ text, read, issuer, keys }: SeenToken, key: VerificationKey | null): AcceptedToken | null {
    if (key === null) {
      this.#context.count('jwt_rejected');
      this.#tokens.rejected.put(text, keys, this.#context.clock.monotonicMs());
      return null;
    }
    this.#verified();
    const accepted: AcceptedToken = { text, issuer, type: read.type, algorithm: read.algorithm.name, claims: read.claims, trust: keys, key, judgements: [], used: false };
    const forgotten = this.#tokens.accepted.put(accepted);
    if (forgotten > 0) this.#context.count('jwt_forgotten', forgotten);
    return accepted;
  }

  // --- keys that are newer than ours ------------------------------------------------------------------------------

  /** True: the request waits until the control thread has looked, or for `askWaitMs`. One question at a time for each source, and not too often. */
  #askForKeys(x: Exchange, text: string, source: string): boolean {
    const { asked, askAgainAt } = this.#tokens;
    const nowMs = this.#context.clock.monotonicMs();
    if (this.#context.shadow || this.#tokens.waiting >= waitingMax) return false;
    const resume = (later: Exchange, token: number): void => {
      if (this.#verify(later, text, false) !== WAIT) later.proceed(token);
    };
    const waiter: Waiter<null> = { x, token: x.token, resume };
    const running = asked.get(source);
    if (running === undefined && (nowMs < (askAgainAt.get(source) ?? 0) || !this.#ask(source, waiter, nowMs))) return false;
    running?.push(waiter);
    this.#tokens.waiting++;
    this.#context.timers.after(askWaitMs, (late, token) => {
      if (late.token === token) resume(late, token);
    }, x, x.token);
    return true;
  }

  #ask(source: string, first: Waiter<null>, nowMs: number): boolean {
    const { asked, askAgainAt } = this.#tokens;
    const waiters = [first];
    const sent = this.#context.questions.ask('jwt.keys', new TextEncoder().encode(source), () => {
      asked.delete(source);
      for (const waiter of waiters) {
        this.#tokens.waiting--;
        if (waiter.x.token === waiter.token) waiter.resume(waiter.x, waiter.token, null);
      }
    });
    if (!sent) return false;
    this.#context.count('jwt_keys_asked');
    asked.set(source, waiters);
    askAgainAt.set(source, nowMs + askEveryMs);
    return true;
  }
}

/** A token that was read, and by whom it has to be signed. */
interface SeenToken {
  readonly text: string;
  readonly read: CompactToken;
  readonly issuer: string;
  readonly trust: Trust;
  readonly keys: KeySet;
}

function endedAt(ms: number): string {
  return `since ${dateText(ms)}, leeway included`;
}

function beginsAt(ms: number): string {
  return `until ${dateText(ms)}, leeway included`;
}

function dateText(ms: number): string {
  return new Date(Math.min(ms, 8.64e15)).toISOString();
}

/** A request waits so long for newer keys of an issuer, at most. */
const askWaitMs = 2000;
/** The control thread has limits of its own: this only keeps questions away that it would not look into. */
const askEveryMs = 1000;
