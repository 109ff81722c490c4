import { makeField } from '@remora/http/header-ids';
import { buildEntryMatch, type ExchangeTest } from '@remora/policy-kit/entry-match';
import type { Answer, EdgeFilter, Exchange } from '@remora/policy-kit/exchange';
import { consumerDirectory, type ConsumerDirectory } from '@remora/policy-kit/consumer-directory';
import { RequestIdentity, credentialBit } from '@remora/policy-kit/request-identity';
import type { FilterContext, RuntimeKind } from '@remora/policy-kit/runtime-kind';
import { authenticationRequired, consumerUnmapped } from './reasons.ts';
import { authenticationWire, type AuthenticationSettings, type Requirement } from './wire.ts';

/** Decides over what the kinds before it found. */
export const authenticationRuntime: RuntimeKind<AuthenticationSettings> = {
  ...authenticationWire,
  side: 'provider',
  edge: (settings, context) => (settings.require === null ? null : new AuthenticationFilter(settings, settings.require, context)),
};

const meshBit = credentialBit('mesh');

class AuthenticationFilter implements EdgeFilter {
  readonly kind = 'authentication';
  readonly #any: boolean;
  /** Bits of the kinds that are required. */
  readonly #wanted: number;
  readonly #exempt: readonly (ExchangeTest | null)[];
  /** '' for none. */
  readonly #anonymous: string;
  readonly #consumers: ConsumerDirectory;
  readonly #unknownAnonymous: Answer;
  readonly #unmapped: Answer | null;
  readonly #required: Answer;
  readonly #exempted: () => void;
  readonly #passedAnonymous: () => void;

  constructor(settings: AuthenticationSettings, { any, kinds, pointer }: Requirement, context: FilterContext) {
    this.#any = any;
    this.#wanted = kinds.reduce((bits, kind) => bits | credentialBit(kind), 0);
    this.#exempt = settings.exempt.map(({ match }) => buildEntryMatch(match, context));
    this.#anonymous = settings.anonymous;
    this.#consumers = consumerDirectory(context.facts('consumers'));
    this.#unknownAnonymous = context.refuse(authenticationRequired, '/anonymous', 'the anonymous Consumer is not known');
    this.#unmapped = settings.refuseUnmapped ? context.refuse(consumerUnmapped, '/unmapped', 'the credential is valid, and no Consumer has it') : null;
    this.#required = context.refuse(authenticationRequired, pointer, `${any ? 'one' : 'all'} of ${kinds.join(', ')} must be shown`);
    this.#exempted = context.counter('authentication_exempted');
    this.#passedAnonymous = context.counter('authentication_anonymous');
  }

  request(x: Exchange): Answer | null {
    const refusal = this.#decide(x);
    if (refusal === null || !this.#exempts(x)) return refusal;
    this.#exempted();
    return null;
  }

  #decide(x: Exchange): Answer | null {
    const { identity } = x;
    // Whatever else was shown: a credential that is presented and not valid never falls through.
    if (identity !== null && identity.failure !== null) return identity.failure;
    const client = identity === null ? 0 : identity.proved;
    // A SPIFFE id in a certificate that an authority from outside vouches for is no certificate of the mesh.
    const ofMesh = x.connection.principal !== '' && x.connection.clientCertificate === undefined;
    const proved = ofMesh ? client | meshBit : client;
    const met = this.#any ? (proved & this.#wanted) !== 0 : (proved & this.#wanted) === this.#wanted;
    if (met) return this.#unmapped !== null && client !== 0 && identity?.consumer === null ? this.#unmapped : null;
    return client === 0 ? this.#nothingShown(x) : this.#challenge(identity);
  }

  #nothingShown(x: Exchange): Answer | null {
    if (this.#anonymous === '') return x.identity?.invitation ?? this.#challenge(x.identity);
    if (this.#exempts(x)) return null;
    const consumer = this.#consumers.byName(this.#anonymous);
    if (consumer === null) return this.#unknownAnonymous;
    (x.identity ??= new RequestIdentity()).consumer = consumer;
    this.#passedAnonymous();
    return null;
  }

  /** 401 with every challenge that the kinds before have (RFC 9110 section 11.6.1). */
  #challenge(identity: RequestIdentity | null): Answer {
    const challenges = identity?.challenges ?? null;
    if (challenges === null) return this.#required;
    return { ...this.#required, fields: challenges.map((challenge) => makeField('www-authenticate', challenge)) };
  }

  #exempts(x: Exchange): boolean {
    for (const test of this.#exempt) if (test === null || test(x)) return true;
    return false;
  }
}
