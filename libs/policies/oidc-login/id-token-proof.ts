import type { Json } from '@remora/core/canonical-json';
import type { Exchange } from '@remora/policy-kit/exchange';
import type { FilterContext } from '@remora/policy-kit/runtime-kind';
import { readCompactToken, type CompactToken } from '@remora/policy-kit/tokens/compact-token';
import { IssuerKeys } from '@remora/policy-kit/tokens/issuer-keys';
import type { VerificationKey } from '@remora/policy-kit/tokens/verification-key';
import { idTokenProblem } from './id-token.ts';
import type { OidcLoginSettings } from './wire.ts';

export interface IdTokenOf {
  /** null: of a refreshed session, which has none to compare. */
  readonly nonce: string | null;
  /** '': whoever it is. */
  readonly subject: string;
}

/** What an ID token proves, or why it proves nothing. */
export type Proof = { readonly claims: Readonly<Record<string, Json>> } | { readonly claims: null; readonly problem: string };

/** Verifies ID tokens with the issuer's keys, asking for newer ones where none fits. */
export class IdTokenProof {
  readonly #settings: OidcLoginSettings;
  readonly #context: FilterContext;
  readonly #keys: IssuerKeys;

  constructor(settings: OidcLoginSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#keys = IssuerKeys.over(context.facts('jwks'));
  }

  /** `done` is called in a later turn or at once, and not at all where the request is over. */
  verify(x: Exchange, token: number, text: string, whose: IdTokenOf, done: (proof: Proof) => void): void {
    const { issuer, clientId, source } = this.#settings;
    const bad = (problem: string): void => done({ claims: null, problem });
    const read = readCompactToken(text);
    if ('problem' in read) return bad(`the ID token is ${read.problem}`);
    const problem = idTokenProblem(read, { issuer, clientId, ...whose, nowMs: this.#context.clock.wallMs() });
    if (problem !== null) return bad(problem);
    const check = (candidates: readonly VerificationKey[]): void => tryKeys(read, candidates, 0, (valid) => {
      if (x.token !== token) return;
      if (valid) done({ claims: read.claims });
      else bad('none of the keys of the issuer has made the signature');
    });
    const candidates = this.#candidates(read);
    if (candidates.length > 0) return check(candidates);
    const sent = this.#context.questions.ask('jwt.keys', new TextEncoder().encode(source.name), () => {
      if (x.token === token) check(this.#candidates(read));
    });
    if (!sent) bad('the keys of the issuer cannot be asked for');
  }

  #candidates({ algorithm, keyId }: CompactToken): readonly VerificationKey[] {
    return this.#keys.of(this.#settings.source.name)?.candidates(algorithm, keyId) ?? [];
  }
}

function tryKeys(read: CompactToken, candidates: readonly VerificationKey[], i: number, done: (valid: boolean) => void): void {
  const key = candidates[i];
  if (key === undefined) return done(false);
  key.verify(read.algorithm, read.signedBytes, read.signature, (valid) => (valid ? done(true) : tryKeys(read, candidates, i + 1, done)));
}
