import type { Json } from '@remora/core/canonical-json';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import type { Answer } from '@remora/policy-kit/exchange';
import type { FactBook } from '@remora/policy-kit/facts';
import type { ConsumerFacts, FoundCredential } from '@remora/policy-kit/request-identity';
import { claimFields } from '@remora/policy-kit/tokens/claim-headers';
import type { AcceptedToken, Judgement } from './accepted-token.ts';
import type { Trust } from './issuer-trust.ts';
import { jwtClaims } from './reasons.ts';
import type { Refusals } from './refusals.ts';
import { ruleProblem, timesOf } from './token-rules.ts';
import type { JwtSettings } from './wire.ts';

/** What one policy makes of verified tokens. Its judgements are kept with the tokens. */
export class Judge {
  readonly #refusals: Refusals;
  readonly #headers: JwtSettings['claimsToHeaders'];
  readonly #jwks: FactBook;
  readonly #consumers: FactBook;
  readonly #directory: ConsumerDirectory;
  /** Tells its judgements from those of others, without keeping the policy alive. */
  readonly #owner = {};

  constructor(settings: JwtSettings, refusals: Refusals, books: { readonly jwks: FactBook; readonly consumers: FactBook }) {
    this.#refusals = refusals;
    this.#headers = settings.claimsToHeaders;
    this.#jwks = books.jwks;
    this.#consumers = books.consumers;
    this.#directory = consumerDirectory(books.consumers);
  }

  /** The judgement that is there already and still holds; null: `trust` has to be asked. */
  known(token: AcceptedToken): Judgement | null {
    for (const judgement of token.judgements) {
      if (judgement.owner === this.#owner) return judgement.keysVersion === this.#jwks.version && judgement.consumersVersion === this.#consumers.version ? judgement : null;
    }
    return null;
  }

  judge(token: AcceptedToken, trust: Trust, owner: ConsumerFacts | null, ownerEndsMs: number): Judgement {
    const made = this.#make(token, trust, owner, ownerEndsMs);
    const at = token.judgements.findIndex((one) => one.owner === this.#owner);
    if (at >= 0) token.judgements[at] = made;
    else if (token.judgements.push(made) > judgementsMax) token.judgements.shift();
    return made;
  }

  #make({ claims, issuer, type }: AcceptedToken, trust: Trust, owner: ConsumerFacts | null, ownerEndsMs: number): Judgement {
    const times = timesOf(claims, trust.rules);
    const versions = { owner: this.#owner, keysVersion: this.#jwks.version, consumersVersion: this.#consumers.version };
    const found: FoundCredential = Object.freeze({
      consumer: owner ?? this.#directory.byIdentity(issuer, claims), subject: subjectOf(claims, owner), issuer, claims, scopes: scopesOf(claims),
    });
    const refused = (failure: Answer): Judgement => ({ ...versions, notBeforeMs: 0, expiresMs: Number.POSITIVE_INFINITY, failure, found, fields: [] });
    if ('reason' in times) return refused(this.#refusals.of(times.reason, trust.pointer, times.detail));
    const problem = ruleProblem(claims, type, trust.rules);
    if (problem !== null) return refused(this.#refusals.of(problem.reason, trust.pointer, problem.detail));
    const fields = claimFields(this.#headers, claims);
    if (typeof fields === 'string') return refused(this.#refusals.of(jwtClaims, `/claimsToHeaders/${fields}`, 'the claim has characters that no header may have, or is too long'));
    return { ...versions, notBeforeMs: times.notBeforeMs, expiresMs: Math.min(times.expiresMs, ownerEndsMs), failure: null, found, fields };
  }

}

function subjectOf({ sub }: Readonly<Record<string, Json>>, owner: ConsumerFacts | null): string {
  return typeof sub === 'string' ? sub : (owner?.name ?? '');
}

/** RFC 8693 section 4.2, and the list that some issuers use. */
function scopesOf({ scope, scp }: Readonly<Record<string, Json>>): readonly string[] {
  const value = scope ?? scp;
  if (typeof value === 'string') return Object.freeze(value.split(' ').filter((one) => one !== ''));
  return Object.freeze(Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []);
}

/** Policies of one thread that remember what they make of one token. */
const judgementsMax = 4;
