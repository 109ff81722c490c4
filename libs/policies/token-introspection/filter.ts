import type { Json } from '@remora/core/canonical-json';
import { HeaderAliases } from '@remora/http/header-aliases';
import type { Field } from '@remora/http/head';
import { makeField } from '@remora/http/header-ids';
import type { Reason } from '@remora/errors/reason';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import { WAIT, type Answer, type EdgeFilter, type Exchange, type Verdict } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { claimFields } from '@remora/policy-kit/tokens/claim-headers';
import { decodeIntrospectionAnswer, encodeIntrospectionQuestion, type IntrospectionAnswer } from '@remora/policy-kit/tokens/introspection-question';
import { ambiguous, createTokenReader, type TokenReader } from '@remora/policy-kit/tokens/token-reader';
import { createCredentialRemover } from '@remora/policy-kit/credential-places';
import { IntrospectedTokens, type IntrospectedToken } from './introspected-tokens.ts';
import { introspectionAudience, introspectionInactive, introspectionInvalid, introspectionOverload, introspectionReasons, introspectionScope, introspectionSecret, introspectionUnavailable } from './reasons.ts';
import { tokenIntrospectionWire, type TokenIntrospectionSettings } from './wire.ts';

/** Finds the token of a request, and asks whoever gave it out what it stands for. Refuses nothing by itself: `authentication` decides over what it found. */
export const tokenIntrospectionRuntime: RuntimeKind<TokenIntrospectionSettings> = {
  ...tokenIntrospectionWire,
  side: 'provider',
  edge: (settings, context) => new TokenIntrospectionFilter(settings, context),
};

class TokenIntrospectionFilter implements EdgeFilter {
  readonly kind = 'tokenIntrospection';
  readonly #settings: TokenIntrospectionSettings;
  readonly #context: FilterContext;
  readonly #read: TokenReader;
  readonly #remove: ReturnType<typeof createCredentialRemover> | null;
  readonly #aliases: HeaderAliases | null;
  readonly #tokens: IntrospectedTokens;
  readonly #directory: ConsumerDirectory;
  readonly #refusalFields: ReadonlyMap<Reason, readonly Field[]>;
  readonly #cached: () => void;

  constructor(settings: TokenIntrospectionSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.#read = createTokenReader(settings.tokenFrom);
    this.#remove = settings.forwardToken ? null : createCredentialRemover(settings.tokenFrom);
    this.#aliases = settings.claimsToHeaders.length === 0 ? null : new HeaderAliases(settings.claimsToHeaders.map(({ header }) => header));
    this.#tokens = IntrospectedTokens.of(context.facts('secret'), settings);
    this.#directory = consumerDirectory(context.facts('consumers'));
    this.#refusalFields = new Map(introspectionReasons.map((reason) => [reason, fieldsOf(reason)]));
    this.#cached = context.counter('tokenIntrospection_cached');
  }

  request(x: Exchange): Verdict {
    const identity = (x.identity ??= new RequestIdentity());
    identity.looks('tokenIntrospection');
    if (this.#aliases !== null) x.head.removeAliases(this.#aliases);
    const text = this.#read(x);
    if (text === null) {
      identity.challenge('Bearer');
      return null;
    }
    if (text === ambiguous) return this.#fail(x, introspectionInvalid, '/tokenFrom', 'more than one token');
    if (this.#settings.opaqueOnly && looksLikeJwt(text)) return null;
    if (!isToken(text)) return this.#fail(x, introspectionInvalid, '/tokenFrom', `no text of ${tokenLengthMax} characters at most, without spaces`);
    const known = this.#tokens.get(text, this.#context.clock.monotonicMs());
    if (known === undefined) return this.#ask(x, text);
    this.#cached();
    return this.#conclude(x, known);
  }

  /** One question for each token; requests with the same one wait for it together, until the deadline. */
  #ask(x: Exchange, text: string): Verdict {
    const { questions, shadow, timers } = this.#context;
    const { deadlineMs } = this.#settings;
    const waiters = this.#tokens.join(text);
    if (waiters === null) return this.#overloaded(x);
    if (waiters.length === 0) {
      const { endpoint, allowPrivateAddresses, clientId, clientSecret } = this.#settings;
      const body = encodeIntrospectionQuestion({ endpoint, allowPrivateAddresses, clientId, clientSecret, deadlineMs, token: text });
      if (!questions.ask('tokenIntrospection', body, (answer) => this.#answered(text, decodeIntrospectionAnswer(answer)))) {
        this.#tokens.take(text);
        return this.#overloaded(x);
      }
      this.#context.count('tokenIntrospection_asked');
    }
    waiters.push(shadow ? null : { x, token: x.token, resume: (later, token, answer) => this.#resume(later, token, text, answer) });
    if (shadow) return null;
    timers.after(deadlineMs + graceMs, (late, token) => this.#resume(late, token, text, noAnswer), x, x.token);
    return WAIT;
  }

  #overloaded(x: Exchange): null {
    this.#context.count('tokenIntrospection_overload');
    return this.#fail(x, introspectionOverload, '', 'too many questions are without an answer');
  }

  #answered(text: string, answer: IntrospectionAnswer): void {
    const waiters = this.#tokens.take(text);
    if (answer.claims === null) this.#context.count('tokenIntrospection_failed');
    else this.#tokens.keep(text, answer.claims, { monotonicMs: this.#context.clock.monotonicMs(), wallMs: this.#context.clock.wallMs() });
    for (const waiter of waiters) if (waiter !== null && waiter.x.token === waiter.token) waiter.resume(waiter.x, waiter.token, answer);
  }

  #resume(x: Exchange, token: number, text: string, answer: IntrospectionAnswer): void {
    if (x.token !== token) return;
    if (answer.claims === null) this.#fail(x, answer.secretMissing === true ? introspectionSecret : introspectionUnavailable, answer.secretMissing === true ? '/clientSecret/secret' : '/endpoint', answer.problem);
    else this.#conclude(x, this.#tokens.get(text, this.#context.clock.monotonicMs()) ?? { text, used: true, claims: answer.claims, untilMs: 0 });
    x.proceed(token);
  }

  #conclude(x: Exchange, { claims }: IntrospectedToken): null {
    const { audiences, scopes } = this.#settings;
    if (claims['active'] !== true) return this.#fail(x, introspectionInactive, '', 'the endpoint says that it is not active');
    const nowSeconds = this.#context.clock.wallMs() / 1000;
    if (!holdsNow(claims, nowSeconds)) return this.#fail(x, introspectionInactive, '', 'exp is over, or nbf has not come');
    if (audiences.length > 0 && !namesOne(claims['aud'], audiences)) return this.#fail(x, introspectionAudience, '/audiences', `aud names none of ${audiences.slice(0, 8).join(', ')}`);
    const granted = scopesOf(claims['scope']);
    const missing = scopes.find((scope) => !granted.includes(scope));
    if (missing !== undefined) return this.#fail(x, introspectionScope, '/scopes', `the scope ${missing} is missing`);
    const fields = claimFields(this.#settings.claimsToHeaders, claims);
    if (typeof fields === 'string') return this.#fail(x, introspectionInvalid, `/claimsToHeaders/${fields}`, 'the claim cannot stand in a header');
    const issuer = this.#settings.issuer === '' ? textOf(claims['iss']) : this.#settings.issuer;
    (x.identity ??= new RequestIdentity()).finds('tokenIntrospection', {
      consumer: this.#directory.byIdentity(issuer, claims), subject: textOf(claims['sub']) || textOf(claims['username']) || textOf(claims['client_id']), issuer, claims, scopes: granted,
    });
    if (this.#remove !== null) this.#remove(x.head);
    for (const field of fields) x.head.put(field);
    return null;
  }

  #fail(x: Exchange, reason: Reason, pointer: string, detail: string): null {
    const refusal: Answer = this.#context.refuse(reason, pointer, detail, this.#refusalFields.get(reason) ?? []);
    (x.identity ??= new RequestIdentity()).fails('tokenIntrospection', refusal);
    return null;
  }
}

function fieldsOf({ status, title }: Reason): readonly Field[] {
  if (status === 503) return [makeField('retry-after', '1')];
  return [makeField('www-authenticate', `Bearer error="${status === 403 ? 'insufficient_scope' : 'invalid_token'}", error_description="${title}"`)];
}

/** Three parts, the first of which is a JSON object in base64url. */
function looksLikeJwt(text: string): boolean {
  const first = text.indexOf('.');
  return text.startsWith('eyJ') && first > 0 && text.indexOf('.', first + 1) > 0;
}

/** Visible ASCII (RFC 6749 appendix A.12), not more than a token of ours may have. */
function isToken(text: string): boolean {
  if (text.length === 0 || text.length > tokenLengthMax) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return true;
}

function holdsNow({ exp, nbf }: Readonly<Record<string, Json>>, nowSeconds: number): boolean {
  return !(typeof exp === 'number' && nowSeconds >= exp + leewaySeconds) && !(typeof nbf === 'number' && nowSeconds < nbf - leewaySeconds);
}

function namesOne(aud: Json | undefined, audiences: readonly string[]): boolean {
  return typeof aud === 'string' ? audiences.includes(aud) : Array.isArray(aud) && aud.some((one) => typeof one === 'string' && audiences.includes(one));
}

function scopesOf(scope: Json | undefined): readonly string[] {
  if (typeof scope === 'string') return scope.split(' ').filter((one) => one !== '');
  return Array.isArray(scope) ? scope.filter((one) => typeof one === 'string') : [];
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

const noAnswer: IntrospectionAnswer = { claims: null, problem: 'no answer within the deadline' };
const tokenLengthMax = 8192;
/** Beyond the deadline, for the way to the control thread and back. */
const graceMs = 250;
const leewaySeconds = 30;
