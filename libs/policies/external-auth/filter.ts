import { HeaderAliases } from '@remora/http/header-aliases';
import type { Head } from '@remora/http/head';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import { HOLD, WAIT, type Answer, type EdgeFilter, type Exchange, type HeldBody, type Verdict } from '@remora/policy-kit/exchange';
import { RequestIdentity } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { parseTemplate } from '@remora/policy-kit/template';
import { compileTemplate, type Evaluator } from '@remora/policy-kit/variables';
import { applyEdit, canEdit } from './apply-edit.ts';
import { bodyForAuthorizer, bodyKey, bytesToHold, type BodyForAuthorizer } from './body-for-authorizer.ts';
import type { Decision, HeaderEdit } from './decision.ts';
import { DecisionCache } from './decision-cache.ts';
import { encodeCheck, readCheck } from './grpc-check.ts';
import { headersForAuthorizer, readHttpAnswer } from './http-check.ts';
import { externalAuthBodyTooLarge, externalAuthDenied, externalAuthFailed } from './reasons.ts';
import { authQuestion, externalAuthWire, type ExternalAuthSettings } from './wire.ts';

/** Somebody outside says who may. Refuses nothing by itself: `authentication` decides over what was said. */
export const externalAuthRuntime: RuntimeKind<ExternalAuthSettings> = {
  ...externalAuthWire,
  side: 'provider',
  edge: (settings, context) => new ExternalAuthFilter(settings, context),
};

/** Keys longer than this are not worth keeping. */
const keyMax = 8_192;

class ExternalAuthFilter implements EdgeFilter {
  readonly kind = 'externalAuth';
  readonly holdBytes: number;
  readonly #settings: ExternalAuthSettings;
  readonly #context: FilterContext;
  readonly #denied: Answer;
  readonly #cache: DecisionCache | null;
  readonly #key: readonly Evaluator[];
  readonly #aliases: HeaderAliases | null;
  readonly #consumers: ConsumerDirectory;
  readonly #slot: number;
  readonly #counts: Readonly<Record<'asked' | 'cached' | 'denied' | 'failed' | 'failedOpen' | 'shadowDenied' | 'tooLarge', () => void>>;

  constructor(settings: ExternalAuthSettings, context: FilterContext) {
    this.#settings = settings;
    this.#context = context;
    this.holdBytes = settings.body === null ? 0 : bytesToHold(settings.body);
    this.#denied = context.refuse(externalAuthDenied, settings.url === '' ? '/grpc' : '/http', 'the authorizer denies it');
    const { cache } = settings;
    this.#cache = cache === null ? null : context.live.keep(`externalAuth/${context.scope}`, JSON.stringify(settings), () => new DecisionCache(cache.entries, cache.ttlMs));
    this.#key = (cache?.key ?? []).map((part, i) => {
      const parsed = parseTemplate(part);
      return compileTemplate(parsed.ok ? parsed.parts : [{ kind: 'text', text: String(i) }]);
    });
    const owned = [...settings.headersToUpstream, ...(settings.consumerHeader === '' ? [] : [settings.consumerHeader])];
    this.#aliases = owned.length === 0 ? null : new HeaderAliases(owned);
    this.#consumers = consumerDirectory(context.facts('consumers'));
    this.#slot = context.slot();
    this.#counts = {
      asked: context.counter('externalAuth_asked'), cached: context.counter('externalAuth_cached'), denied: context.counter('externalAuth_denied'),
      failed: context.counter('externalAuth_failed'), failedOpen: context.counter('externalAuth_failed_open'), shadowDenied: context.counter('externalAuth_shadow_denied'),
      tooLarge: context.counter('externalAuth_too_large'),
    };
  }

  request(x: Exchange): Verdict | typeof HOLD {
    (x.identity ??= new RequestIdentity()).looks('externalAuth');
    const { body } = this.#settings;
    if (body === null) return this.#decide(x, null);
    // Where it is known already, nothing of it needs to come.
    return x.head.bodyLength > body.maxBytes && !body.allowPartial ? this.#tooLarge(x, body.maxBytes) : HOLD;
  }

  requestHeld(x: Exchange, held: HeldBody): Verdict {
    const { body } = this.#settings;
    if (body === null) return this.#decide(x, null);
    const told = bodyForAuthorizer(held, body);
    return told === null ? this.#tooLarge(x, body.maxBytes) : this.#decide(x, told);
  }

  #tooLarge(x: Exchange, maxBytes: number): null {
    this.#counts.tooLarge();
    if (this.#context.shadow) this.#counts.shadowDenied();
    // It may pass all the same, where authentication exempts it.
    if (this.#aliases !== null) x.head.removeAliases(this.#aliases);
    (x.identity ??= new RequestIdentity()).fails('externalAuth', this.#context.refuse(externalAuthBodyTooLarge, '/body/maxBytes', `the authorizer is told at most ${maxBytes} bytes, and has to see the whole body`));
    return null;
  }

  #decide(x: Exchange, body: BodyForAuthorizer | null): Verdict {
    const key = this.#keyOf(x, body);
    const nowMs = this.#context.clock.monotonicMs();
    const known = key === null ? null : (this.#cache?.get(key, nowMs) ?? null);
    if (known !== null) {
      this.#counts.cached();
      if (this.#context.shadow) this.#countShadow(known);
      else this.#conclude(x, known);
      return null;
    }
    return this.#ask(x, key, body);
  }

  response(x: Exchange, head: Head): void {
    const edits = x.slots[this.#slot] as readonly HeaderEdit[] | undefined;
    if (edits !== undefined) for (const edit of edits) applyEdit(head, edit);
  }

  #keyOf(x: Exchange, body: BodyForAuthorizer | null): string | null {
    if (this.#cache === null) return null;
    let key = '';
    // Lengths keep the parts apart, whatever they hold.
    for (const read of this.#key) {
      const part = read(x);
      key += `${part.length}:${part}`;
      if (key.length > keyMax) return null;
    }
    // What the authorizer sees of the body decides, whatever the key says.
    return body === null ? key : `${key}${bodyKey(body)}`;
  }

  #ask(x: Exchange, key: string | null, body: BodyForAuthorizer | null): Verdict {
    const { token } = x;
    const waits = !this.#context.shadow;
    let answered = false;
    const sent = this.#context.questions.ask(authQuestion.topic, this.#question(x, body), (reply) => {
      if (answered) return;
      answered = true;
      const decision = this.#read(reply);
      if (key !== null && isForAll(decision)) this.#cache?.put(key, decision, this.#context.clock.monotonicMs());
      if (!waits) this.#countShadow(decision);
      else if (x.token === token) this.#resume(x, token, decision);
    });
    if (!sent) {
      if (this.#context.shadow) this.#countShadow(overloaded);
      else this.#conclude(x, overloaded);
      return null;
    }
    this.#counts.asked();
    if (!waits) return null;
    this.#context.timers.after(this.#settings.deadlineMs, (late, lateToken) => {
      answered = true;
      this.#resume(late, lateToken, tooLate);
    }, x, token);
    return WAIT;
  }

  #resume(x: Exchange, token: number, decision: Decision): void {
    if (x.token !== token) return;
    this.#conclude(x, decision);
    x.proceed(token);
  }

  #question(x: Exchange, body: BodyForAuthorizer | null): Uint8Array {
    const { url, address, tls, deadlineMs, allowPrivateAddresses } = this.#settings;
    const grpc = url === '';
    return authQuestion.Question.encode({
      url, address, tls, deadlineMs, allowPrivateAddresses, post: !grpc && body !== null, headers: grpc ? [] : headersForAuthorizer(x, this.#settings, body),
      body: asBuffer(grpc ? encodeCheck(x, this.#settings, body) : (body?.bytes ?? noBytes)),
    }).finish();
  }

  #read(body: Uint8Array | null): Decision {
    if (body === null) return unanswered;
    const reply = authQuestion.Reply.decode(body);
    if (reply.failure !== '') return { kind: 'failed', problem: reply.failure };
    const decision = this.#settings.url === '' ? readCheck(reply.body, this.#denied, this.#settings.consumerHeader) : readHttpAnswer(reply, this.#denied, this.#settings);
    return decision.kind === 'allowed' && !(decision.edits.every(canEdit) && decision.toClient.every(canEdit)) ? tooManyNames : decision;
  }

  #conclude(x: Exchange, decision: Decision): void {
    const identity = (x.identity ??= new RequestIdentity());
    if (this.#aliases !== null) x.head.removeAliases(this.#aliases);
    switch (decision.kind) {
      case 'denied':
        this.#counts.denied();
        identity.fails('externalAuth', decision.answer);
        return;
      case 'failed':
        this.#counts.failed();
        if (this.#settings.allowOnFailure) {
          this.#counts.failedOpen();
          identity.finds('externalAuth', nobody);
        } else identity.fails('externalAuth', this.#context.refuse(externalAuthFailed, '/onFailure', decision.problem));
        return;
      case 'allowed':
        for (const edit of decision.edits) applyEdit(x.head, edit);
        if (decision.toClient.length > 0) x.slots[this.#slot] = decision.toClient;
        identity.finds('externalAuth', { ...nobody, consumer: decision.consumer === '' ? null : this.#consumers.byName(decision.consumer), subject: decision.consumer });
    }
  }

  #countShadow(decision: Decision): void {
    if (decision.kind === 'denied' || (decision.kind === 'failed' && !this.#settings.allowOnFailure)) this.#counts.shadowDenied();
  }
}

/** A cookie is for the client that was answered, not for others with the same key. */
function isForAll(decision: Decision): boolean {
  if (decision.kind === 'allowed') return !decision.toClient.some(({ name }) => name === 'set-cookie');
  return decision.kind !== 'denied' || !decision.answer.fields.some(({ name }) => name === 'set-cookie');
}

/** The same bytes. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

const nobody = Object.freeze({ consumer: null, subject: '', issuer: '', claims: null, scopes: Object.freeze([]) as readonly string[] });
const noBytes = new Uint8Array(0);
const overloaded: Decision = { kind: 'failed', problem: 'too many questions are under way' };
const tooLate: Decision = { kind: 'failed', problem: 'no answer in time' };
const tooManyNames: Decision = { kind: 'failed', problem: 'authorizers have named too many different headers' };
const unanswered: Decision = { kind: 'failed', problem: 'nobody could ask the authorizer' };
