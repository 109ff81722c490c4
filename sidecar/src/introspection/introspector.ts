import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Json } from '@remora/core/canonical-json';
import { decodeIntrospectionQuestion, encodeIntrospectionAnswer, type IntrospectionAnswer, type IntrospectionQuestion } from '@remora/policy-kit/tokens/introspection-question';
import { parseStrictJsonBytes } from '@remora/policy-kit/tokens/strict-json';
import { HelperBreaker } from '../helpers/helper-breaker.ts';
import type { HelperAnswer, HelperClient } from '../helpers/helper-client.ts';
import type { Log } from '../telemetry/log.ts';

export interface IntrospectorOptions {
  readonly client: HelperClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Asks endpoints of token introspection (RFC 7662) for the data threads. Each client of an endpoint has a breaker and a bound of its own: what one meets touches no other. */
export class Introspector {
  readonly #options: IntrospectorOptions;
  readonly #endpoints = new Map<string, KnownEndpoint>();
  #secrets: ReadonlyMap<string, Uint8Array> = new Map();

  constructor(options: IntrospectorOptions) {
    this.#options = options;
  }

  /** By name; what has changed is used from the next question on. */
  useSecrets(secrets: ReadonlyMap<string, Uint8Array>): void {
    const before = this.#secrets;
    this.#secrets = secrets;
    // Who was refused for an old secret need not wait until the pause is over.
    for (const endpoint of this.#endpoints.values()) if (!sameBytes(before.get(endpoint.secret), secrets.get(endpoint.secret))) endpoint.breaker = this.#newBreaker();
  }

  async answer(body: Uint8Array): Promise<Uint8Array> {
    return encodeIntrospectionAnswer(await this.#ask(decodeIntrospectionQuestion(body)));
  }

  async #ask(question: IntrospectionQuestion): Promise<IntrospectionAnswer> {
    const endpoint = this.#endpoint(question);
    const secret = this.#secrets.get(question.clientSecret);
    if (secret === undefined) return this.#told(endpoint, { claims: null, problem: `the Secret ${question.clientSecret} is not set, or has not come yet`, secretMissing: true });
    if (endpoint.underway >= underwayMax) return problem(`${underwayMax} questions are under way`);
    const { breaker } = endpoint;
    if (!breaker.lets()) return problem('it failed too often, and is given a pause');
    endpoint.underway++;
    const answer = read(await this.#request(question, secret));
    endpoint.underway--;
    breaker.record(answer.claims !== null);
    return this.#told(endpoint, answer);
  }

  #request({ endpoint, allowPrivateAddresses, clientId, deadlineMs, token }: IntrospectionQuestion, secret: Uint8Array): Promise<HelperAnswer> {
    // RFC 6749 section 2.3.1: both are form-encoded first.
    const credentials = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(Buffer.from(secret).toString().trim())}`).toString('base64');
    return this.#options.client.request({
      url: endpoint, method: 'POST', allowPrivateAddresses, deadlineMs, bodyBytesMax: answerBytesMax,
      headers: { authorization: `Basic ${credentials}`, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
    });
  }

  #endpoint({ endpoint: url, clientId, clientSecret }: IntrospectionQuestion): KnownEndpoint {
    const name = JSON.stringify([url, clientId, clientSecret]);
    let endpoint = this.#endpoints.get(name);
    if (endpoint === undefined) {
      const [oldest] = this.#endpoints.keys();
      if (this.#endpoints.size >= endpointsMax && oldest !== undefined) this.#endpoints.delete(oldest);
      this.#endpoints.set(name, endpoint = { url, secret: clientSecret, breaker: this.#newBreaker(), underway: 0, failing: false });
    }
    return endpoint;
  }

  #newBreaker(): HelperBreaker {
    const { clock, random } = this.#options;
    return new HelperBreaker({ clock, random });
  }

  /** In the log, once for each outage. Neither tokens nor secrets are in it. */
  #told(endpoint: KnownEndpoint, answer: IntrospectionAnswer): IntrospectionAnswer {
    const failing = answer.claims === null;
    if (failing === endpoint.failing) return answer;
    endpoint.failing = failing;
    if (answer.claims === null) this.#options.log.warn('tokens cannot be introspected', { endpoint: endpoint.url, cause: answer.problem });
    else this.#options.log.info('tokens can be introspected again', { endpoint: endpoint.url });
    return answer;
  }
}

/** As one client knows it. */
interface KnownEndpoint {
  readonly url: string;
  /** Name of the client's Secret. */
  readonly secret: string;
  breaker: HelperBreaker;
  underway: number;
  failing: boolean;
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && Buffer.compare(a, b) === 0);
}

function read(answer: HelperAnswer): IntrospectionAnswer {
  if (!answer.ok) return problem(`${answer.code}: ${answer.message}`);
  if (answer.status !== 200) return problem(answer.status === 401 ? 'it does not know the client, or its secret (401)' : `it answered ${answer.status}`);
  const json = parseStrictJsonBytes(answer.body);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return problem('its answer is no JSON object, or names a member twice');
  const claims = json as Readonly<Record<string, Json>>;
  return typeof claims['active'] === 'boolean' ? { claims } : problem('its answer does not say whether the token is active');
}

function problem(text: string): IntrospectionAnswer {
  return { claims: null, problem: text };
}

const underwayMax = 128;
const answerBytesMax = 65_536;
const endpointsMax = 256;
