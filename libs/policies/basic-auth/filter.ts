import { headerId, makeField } from '@remora/http/header-ids';
import { WAIT, type Answer, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { basicValue } from './basic-credentials.ts';
import { PasswordChecks, type PasswordVerdict } from './password-checks.ts';
import { basicAuthExpired, basicAuthInvalid, basicAuthOverload, basicAuthWarming } from './reasons.ts';
import { basicAuthWire, type BasicAuthSettings } from './wire.ts';

/** Finds whose name and password a request shows, and takes them out. Refuses nothing by itself: `authentication` decides over what it found. */
export const basicAuthRuntime: RuntimeKind<BasicAuthSettings> = {
  ...basicAuthWire,
  side: 'provider',
  edge: (settings, context) => new BasicAuthFilter(settings, context),
};

const authorizationId = headerId('authorization');
const noScopes: readonly string[] = Object.freeze([]);

class BasicAuthFilter implements EdgeFilter {
  readonly kind = 'basicAuth';
  readonly #checks: PasswordChecks;
  readonly #challenge: string;
  readonly #forward: boolean;
  readonly #shadow: boolean;
  readonly #invalid: Answer;
  readonly #expired: Answer;
  readonly #overload: Answer;
  readonly #warming: Answer;
  readonly #accepted: () => void;
  readonly #failed: () => void;
  readonly #waited: () => void;

  constructor({ realm, forwardCredentials }: BasicAuthSettings, context: FilterContext) {
    this.#checks = PasswordChecks.over(context.facts('consumers'), context.clock);
    this.#challenge = `Basic realm="${realm}", charset="UTF-8"`;
    this.#forward = forwardCredentials;
    this.#shadow = context.shadow;
    const [again, later] = [[makeField('www-authenticate', this.#challenge)], [makeField('retry-after', '1')]];
    this.#invalid = context.refuse(basicAuthInvalid, '', 'no such name and password', again);
    this.#expired = context.refuse(basicAuthExpired, '', 'the password is past its end', again);
    this.#overload = context.refuse(basicAuthOverload, '', 'too many passwords are being verified', later);
    this.#warming = context.refuse(basicAuthWarming, '', 'no consumers have come from the control plane yet', later);
    this.#accepted = context.counter('basicAuth_accepted');
    this.#failed = context.counter('basicAuth_failed');
    this.#waited = context.counter('basicAuth_verified');
  }

  request(x: Exchange): Verdict {
    const identity = (x.identity ??= new RequestIdentity());
    identity.looks('basicAuth');
    const shown = this.#read(x);
    if (shown === null) {
      identity.challenge(this.#challenge);
      return null;
    }
    if (!this.#forward) x.head.remove(authorizationId);
    if (shown === '') return this.#fail(x, this.#invalid);
    const { token } = x;
    const answer = this.#checks.check(shown, this.#shadow ? null : (verdict) => this.#resume(x, token, verdict));
    if (answer === 'overload') return this.#fail(x, this.#overload);
    if (answer !== 'pending') return this.#conclude(x, answer);
    this.#waited();
    // What is not known yet is no verdict in shadow.
    return this.#shadow ? null : WAIT;
  }

  /** null: nothing of this scheme; '': something that cannot be right. */
  #read({ head }: Exchange): string | null {
    const count = head.count(authorizationId);
    if (count === 0) return null;
    const value = basicValue(head.valueAt(authorizationId, 0));
    if (count === 1) return value;
    for (let nth = 0; nth < count; nth++) if (basicValue(head.valueAt(authorizationId, nth)) !== null) return '';
    return null;
  }

  #resume(x: Exchange, token: number, verdict: PasswordVerdict): void {
    if (x.token !== token) return;
    this.#conclude(x, verdict);
    x.proceed(token);
  }

  #conclude(x: Exchange, verdict: PasswordVerdict): null {
    if (verdict === 'wrong') return this.#fail(x, this.#invalid);
    if (verdict === 'warming') return this.#fail(x, this.#warming);
    if (verdict.expiresMs <= x.startedWallMs) return this.#fail(x, this.#expired);
    this.#accepted();
    (x.identity ??= new RequestIdentity()).finds('basicAuth', { consumer: verdict.consumer, subject: verdict.user, issuer: '', claims: null, scopes: noScopes });
    return null;
  }

  #fail(x: Exchange, refusal: Answer): null {
    this.#failed();
    (x.identity ??= new RequestIdentity()).fails('basicAuth', refusal);
    return null;
  }
}
