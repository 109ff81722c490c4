import { createHash } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Json } from '@remora/core/canonical-json';
import { decodeLoginQuestion, encodeLoginAnswer, type LoginAnswer, type LoginQuestion } from '@remora/policy-kit/tokens/login-question';
import { parseStrictJsonBytes } from '@remora/policy-kit/tokens/strict-json';
import { HelperBreaker } from '../helpers/helper-breaker.ts';
import type { HelperAnswer, HelperClient } from '../helpers/helper-client.ts';
import { readDiscovery } from '../issuer-keys/fetch-issuer-keys.ts';

export interface LoginClientOptions {
  readonly client: HelperClient;
  readonly clock: Clock;
  readonly random: Random;
}

/** Speaks to issuers for logins of the data threads: addresses, codes, refresh tokens. Each issuer has a breaker and a bound of its own. */
export class LoginClient {
  readonly #options: LoginClientOptions;
  readonly #issuers = new Map<string, KnownIssuer>();
  /** Refreshes by digest of what they are for: threads and requests with the same refresh token get the same answer, since many issuers take one once only. */
  readonly #refreshes = new Map<string, { readonly answer: Promise<LoginAnswer>; readonly at: number }>();
  #secrets: ReadonlyMap<string, Uint8Array> = new Map();

  constructor(options: LoginClientOptions) {
    this.#options = options;
  }

  useSecrets(secrets: ReadonlyMap<string, Uint8Array>): void {
    this.#secrets = secrets;
  }

  async answer(body: Uint8Array): Promise<Uint8Array> {
    const question = decodeLoginQuestion(body);
    return encodeLoginAnswer(await (question.want === 'refresh' ? this.#refresh(question) : this.#ask(question)));
  }

  #refresh(question: LoginQuestion): Promise<LoginAnswer> {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [key, { at }] of this.#refreshes) {
      if (nowMs - at < refreshKeptMs && this.#refreshes.size < refreshesMax) break;
      this.#refreshes.delete(key);
    }
    const key = createHash('sha256').update(JSON.stringify([question.issuer, question.clientId, question.clientSecret, question.grant])).digest('base64');
    const known = this.#refreshes.get(key);
    if (known !== undefined) return known.answer;
    const answer = this.#ask(question);
    this.#refreshes.set(key, { answer, at: nowMs });
    void answer.then(({ outcome }) => {
      if (outcome === 'unavailable' && this.#refreshes.get(key)?.answer === answer) this.#refreshes.delete(key);
    });
    return answer;
  }

  async #ask(question: LoginQuestion): Promise<LoginAnswer> {
    const issuer = this.#issuer(question);
    if (issuer.underway >= underwayMax) return unavailable(`${underwayMax} questions are under way`);
    if (!issuer.breaker.lets()) return unavailable('the issuer failed too often, and is given a pause');
    issuer.underway++;
    const answer = await this.#answerOf(question, issuer);
    issuer.underway--;
    issuer.breaker.record(answer.outcome !== 'unavailable');
    return answer;
  }

  async #answerOf(question: LoginQuestion, issuer: KnownIssuer): Promise<LoginAnswer> {
    const addresses = await this.#addresses(question, issuer);
    if (typeof addresses === 'string') return unavailable(addresses);
    const { authorization, endSession, token } = addresses;
    if (question.want === 'addresses') return { outcome: 'addresses', authorization, endSession };
    const secret = this.#secrets.get(question.clientSecret);
    if (secret === undefined) return unavailable(`the secret ${question.clientSecret} has not come yet`);
    return readTokens(await this.#request(question, token, secret));
  }

  async #addresses(question: LoginQuestion, issuer: KnownIssuer): Promise<Addresses | string> {
    const nowMs = this.#options.clock.monotonicMs();
    if (issuer.addresses !== null && nowMs < issuer.freshUntil) return issuer.addresses;
    const found = await readDiscovery(this.#options.client, question);
    const read = found.ok ? readAddresses(found.document, question.allowPrivateAddresses) : `${found.code}: ${found.message}`;
    // Addresses seldom change: those of before are used on while the issuer does not say newer ones.
    if (typeof read === 'string') return issuer.addresses ?? read;
    issuer.addresses = read;
    issuer.freshUntil = nowMs + addressesFreshMs;
    return read;
  }

  #request({ allowPrivateAddresses, clientId, deadlineMs, want, grant, redirectUri, verifier }: LoginQuestion, url: string, secret: Uint8Array): Promise<HelperAnswer> {
    const form = want === 'code' ? { grant_type: 'authorization_code', code: grant, redirect_uri: redirectUri, code_verifier: verifier } : { grant_type: 'refresh_token', refresh_token: grant };
    // RFC 6749 section 2.3.1: both are form-encoded first.
    const credentials = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(Buffer.from(secret).toString().trim())}`).toString('base64');
    return this.#options.client.request({
      url, method: 'POST', allowPrivateAddresses, deadlineMs, bodyBytesMax: answerBytesMax,
      headers: { authorization: `Basic ${credentials}`, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: new URLSearchParams(Object.entries(form)).toString(),
    });
  }

  #issuer({ issuer, allowPrivateAddresses }: LoginQuestion): KnownIssuer {
    const name = JSON.stringify([issuer, allowPrivateAddresses]);
    let known = this.#issuers.get(name);
    if (known === undefined) {
      const [oldest] = this.#issuers.keys();
      if (this.#issuers.size >= issuersMax && oldest !== undefined) this.#issuers.delete(oldest);
      const { clock, random } = this.#options;
      this.#issuers.set(name, known = { breaker: new HelperBreaker({ clock, random }), underway: 0, addresses: null, freshUntil: 0 });
    }
    return known;
  }
}

interface Addresses {
  readonly authorization: string;
  readonly token: string;
  /** '': the issuer offers none. */
  readonly endSession: string;
}

interface KnownIssuer {
  readonly breaker: HelperBreaker;
  underway: number;
  addresses: Addresses | null;
  freshUntil: number;
}

function readAddresses(document: Readonly<Record<string, Json>>, allowHttp: boolean): Addresses | string {
  const authorization = address(document['authorization_endpoint'], allowHttp);
  const token = address(document['token_endpoint'], allowHttp);
  if (authorization === '' || token === '') return 'the discovery document names no authorization_endpoint or token_endpoint that may be used';
  return { authorization, token, endSession: address(document['end_session_endpoint'], allowHttp) };
}

/** Browsers are sent there: https, or http where the issuer itself is of the own network. */
function address(value: Json | undefined, allowHttp: boolean): string {
  if (typeof value !== 'string' || value.length > 2048 || !URL.canParse(value)) return '';
  const { protocol, href } = new URL(value);
  return protocol === 'https:' || (allowHttp && protocol === 'http:') ? href : '';
}

function readTokens(answer: HelperAnswer): LoginAnswer {
  if (!answer.ok) return unavailable(`${answer.code}: ${answer.message}`);
  const json = parseStrictJsonBytes(answer.body);
  const members = typeof json === 'object' && json !== null && !Array.isArray(json) ? json as Readonly<Record<string, Json>> : null;
  if (answer.status === 400 && members?.['error'] === 'invalid_grant') return { outcome: 'refused', problem: 'invalid_grant' };
  if (answer.status !== 200) return unavailable(answer.status === 401 ? 'the issuer does not know the client, or its secret (401)' : `the issuer answered ${answer.status}`);
  if (members === null) return unavailable('the answer of the issuer is no JSON object, or names a member twice');
  const expires = members['expires_in'];
  return {
    outcome: 'tokens', idToken: textOf(members['id_token']), refreshToken: textOf(members['refresh_token']), scope: textOf(members['scope']),
    expiresInSeconds: typeof expires === 'number' && expires > 0 && expires < 1e9 ? expires : 0,
  };
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function unavailable(problem: string): LoginAnswer {
  return { outcome: 'unavailable', problem };
}

const underwayMax = 128;
const answerBytesMax = 65_536;
const issuersMax = 64;
const addressesFreshMs = 600_000;
/** Requests with the cookie of before come a little later than its refresh. */
const refreshKeptMs = 30_000;
const refreshesMax = 4096;
