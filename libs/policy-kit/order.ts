/**
 * Every policy kind of the vocabulary, in the order in which it runs. Provider-side kinds are edge filters, the first
 * refusal stops; caller-side kinds are upstream layers, outermost first. Where order matters the line says why.
 */
export interface KindPlace {
  readonly name: string;
  readonly side: 'provider' | 'caller';
  /** Built in this release; otherwise the name is reserved and its use is refused. */
  readonly built: boolean;
  readonly why: string;
}

const provider = (name: string, built: boolean, why: string): KindPlace => ({ name, side: 'provider', built, why });
const caller = (name: string, built: boolean, why: string): KindPlace => ({ name, side: 'caller', built, why });


/** The late part of a filter (`EdgeFilter.late`) runs after this kind, wherever its own place is: it needs to know who asks. */
export const lateAfter = 'authorization';

export const kindOrder: readonly KindPlace[] = [
  provider('accessLog', true, 'sees every request, also those refused by the first filter; its hook is `complete`'),
  provider('tracing', false, 'reserved: spans are around everything else'),
  provider('metrics', false, 'reserved: labels and bounds of series'),
  provider('requestLimits', true, 'before anything spends work on a request'),
  provider('ipAccess', true, 'cheapest verdict, needs nothing but the address'),
  provider('requestId', true, 'every later refusal carries the id'),
  provider('cors', true, 'preflights carry no credentials, and refusals below need its headers'),
  provider('errorResponse', true, 'outside everything whose refusals it rewrites'),
  provider('mtls', true, 'who may not connect at all is asked for nothing else, and costs nothing that comes behind it'),
  provider('waf', false, 'reserved: before credentials are looked at'),
  provider('fault', true, 'simulates the service, so before what protects it'),
  provider('rateLimit', true, 'limits that need no identity come before the cost of authentication'),
  provider('jwt', true, 'the commonest credential first; before authentication, which decides over what the kinds from here on found'),
  provider('tokenIntrospection', true, 'after jwt, which needs nobody to ask'),
  provider('apiKey', true, 'the cheapest to verify after tokens; together with the other kinds that find credentials'),
  provider('basicAuth', true, 'as the other kinds that find credentials; a first password is slow, so after what is not'),
  provider('hmac', true, 'as the other kinds that find credentials; it may read the body, so after those that need not'),
  provider('clientCertificate', true, 'costs nothing: the handshake has shown it already; before those that ask somebody'),
  provider('externalAuth', true, 'somebody outside is asked last of those who know clients: what they found is there already'),
  provider('oidcLogin', true, 'sends browsers away only where none of the others found anything; the last of those that find credentials'),
  provider('authentication', true, 'decides over what the kinds that find credentials found, so after the last of them'),
  provider('authorization', true, 'needs to know who asks, and refuses before anything is counted or changed for them'),
  provider('quota', true, 'needs a consumer, and counts nothing that authorization refuses'),
  provider('concurrency', true, 'holds a place for requests that may run and for nobody else: behind every other verdict, before the work begins'),
  provider('validation', false, 'reserved: before the request is changed'),
  provider('transform', true, 'after every verdict on what the client sent'),
  provider('transcode', false, 'reserved'),
  provider('compression', false, 'reserved'),
  provider('securityHeaders', true, 'response only: outside of cache, so that stored answers stay clean'),
  provider('cache', false, 'reserved'),
  provider('aggregate', false, 'reserved'),
  provider('debug', false, 'reserved'),
  provider('extension', false, 'reserved'),
  caller('timeout', true, 'outermost: bounds everything inside, retries included'),
  caller('fallback', true, 'answers when every attempt failed, so outside of what makes attempts; timeout bounds it too'),
  caller('mirror', true, 'once per request, not per attempt; inside of fallback, whose detours are not mirrored'),
  caller('retry', true, 'each attempt passes what is inside again'),
  caller('hedging', true, 'inside of retry, which hands it the budget that holds for both, and tries again what both of its tries failed at'),
  caller('circuitBreaker', true, 'judges and admits each attempt, so inside whatever makes several; outside of balancing: what may not go needs no host'),
  caller('loadBalancing', true, 'within retry: each attempt is balanced anew'),
  caller('healthCheck', true, 'not on the way of calls at all: the control thread asks, balancing reads what it found'),
  caller('outlierDetection', true, 'hears how each attempt ended, so inside whatever makes several of one'),
  caller('connectionPool', true, 'innermost: what connections are, whoever chose the host'),
];
