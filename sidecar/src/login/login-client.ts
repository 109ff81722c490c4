import { createHash } from 'node:crypto';
import type { Clock } from '@remora/core/clock';
import type { Random } from '@remora/core/random';
import type { Json } from '@remora/core/canonical-json';
import { decodeLoginQuestion, encodeLoginAnswer, type LoginAnswer, type LoginQuestion } from '@remora/policy-kit/tokens/login-question';
import { HelperBreaker } from '../helpers/helper-breaker.ts';
import type { HelperAnswer, HelperClient } from '../helpers/helper-client.ts';
import { readDiscovery } from '../issuer-keys/fetch-issuer-keys.ts';
import type { Log } from '../telemetry/log.ts';
import { KeptRefreshes } from './kept-refreshes.ts';
import { readTokenAnswer } from './token-answer.ts';
import { UsedStates } from './used-states.ts';

export interface LoginClientOptions {
  readonly client: HelperClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Speaks to issuers for logins of the data threads: addresses, codes, refresh tokens. Each issuer, and each client at it, has a breaker of its own: what one meets touches no other. */
export class LoginClient {
  readonly #options: LoginClientOptions;
  readonly #issuers = new Map<string, KnownIssuer>();
  readonly #clients = new Map<string, KnownClient>();
  readonly #refreshes: KeptRefreshes;
  readonly #states: UsedStates;
  #secrets: ReadonlyMap<string, Uint8Array> = new Map();

  constructor(options: LoginClientOptions) {
    this.#options = options;
    this.#refreshes = new KeptRefreshes(options.clock);
    this.#states = new UsedStates(options.clock);
  }

  /** By name; what has changed is used from the next question on. */
  useSecrets(secrets: ReadonlyMap<string, Uint8Array>): void {
    const before = this.#secrets;
    this.#secrets = secrets;
    // Who was refused for an old secret need not wait until the pause is over.
    for (const client of this.#clients.values()) if (!sameBytes(before.get(client.secret), secrets.get(client.secret))) client.breaker = this.#newBreaker();
  }

  async answer(body: Uint8Array): Promise<Uint8Array> {
    return encodeLoginAnswer(await this.#answerOf(decodeLoginQuestion(body)));
  }

  async #answerOf(question: LoginQuestion): Promise<LoginAnswer> {
    const secret = this.#secrets.get(question.clientSecret);
    if (question.want === 'addresses') {
      const addresses = await this.#addresses(question);
      return typeof addresses === 'string' ? unavailable(addresses) : { outcome: 'addresses', authorization: addresses.authorization, endSession: addresses.endSession, secretMissing: secret === undefined };
    }
    if (secret === undefined) return { outcome: 'secret', problem: `the Secret ${question.clientSecret} is not set, or has not come yet` };
    if (question.want === 'refresh') return this.#refresh(question, secret);
    if (!this.#states.take(question.state)) return { outcome: 'replayed', problem: 'the state was used already' };
    return this.#tokens(question, secret);
  }

  #refresh(question: LoginQuestion, secret: Uint8Array): Promise<LoginAnswer> {
    const { issuer, clientId, clientSecret, grant } = question;
    const key = createHash('sha256').update(JSON.stringify([issuer, clientId, clientSecret, grant])).digest('base64');
    const known = this.#refreshes.get(key);
    if (known !== undefined) return known;
    const answer = this.#tokens(question, secret);
    this.#refreshes.put(key, answer);
    return answer;
  }

  async #tokens(question: LoginQuestion, secret: Uint8Array): Promise<LoginAnswer> {
    const client = this.#client(question);
    if (client.underway >= underwayMax) return unavailable(`${underwayMax} questions are under way`);
    client.underway++;
    try {
      const addresses = await this.#addresses(question);
      const answer = typeof addresses === 'string' ? unavailable(addresses) : await this.#askForTokens(question, client, addresses.token, secret);
      this.#tell(question, client, answer);
      return answer;
    } finally {
      client.underway--;
    }
  }

  async #askForTokens(question: LoginQuestion, { breaker }: KnownClient, url: string, secret: Uint8Array): Promise<LoginAnswer> {
    if (!breaker.lets()) return unavailable('the issuer failed too often, and is given a pause');
    const answer = readTokenAnswer(await this.#request(question, url, secret));
    breaker.record(answer.outcome !== 'unavailable');
    return answer;
  }

  /** Addresses seldom change: those of before are used on while newer ones are asked for, and while the issuer does not say them. */
  #addresses(question: LoginQuestion): Promise<Addresses | string> {
    const issuer = this.#issuer(question);
    if (issuer.addresses === null || this.#options.clock.monotonicMs() >= issuer.freshUntil) {
      issuer.reading ??= this.#discover(question, issuer).finally(() => {
        issuer.reading = null;
      });
    }
    return issuer.addresses === null && issuer.reading !== null ? issuer.reading : Promise.resolve(issuer.addresses ?? 'its addresses are not known');
  }

  async #discover(question: LoginQuestion, issuer: KnownIssuer): Promise<Addresses | string> {
    if (!issuer.breaker.lets()) return 'the issuer failed too often, and is given a pause';
    const found = await readDiscovery(this.#options.client, question);
    const read = found.ok ? readAddresses(found.document, question.allowPrivateAddresses) : `${found.code}: ${found.message}`;
    issuer.breaker.record(typeof read !== 'string');
    if (typeof read === 'string') return read;
    issuer.addresses = read;
    issuer.freshUntil = this.#options.clock.monotonicMs() + addressesFreshMs;
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
    return known(this.#issuers, JSON.stringify([issuer, allowPrivateAddresses]), () => ({ breaker: this.#newBreaker(), addresses: null, freshUntil: 0, reading: null }));
  }

  #client({ issuer, allowPrivateAddresses, clientId, clientSecret }: LoginQuestion): KnownClient {
    return known(this.#clients, JSON.stringify([issuer, allowPrivateAddresses, clientId, clientSecret]), () => ({ secret: clientSecret, breaker: this.#newBreaker(), underway: 0, failing: false }));
  }

  #newBreaker(): HelperBreaker {
    const { clock, random } = this.#options;
    return new HelperBreaker({ clock, random });
  }

  /** In the log, once for each outage. Neither codes, tokens nor secrets are in it. */
  #tell({ issuer, clientId }: LoginQuestion, client: KnownClient, answer: LoginAnswer): void {
    const failing = answer.outcome === 'unavailable';
    if (failing === client.failing) return;
    client.failing = failing;
    if (answer.outcome === 'unavailable') this.#options.log.warn('nobody can log in', { issuer, clientId, cause: answer.problem });
    else this.#options.log.info('logins work again', { issuer, clientId });
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
  addresses: Addresses | null;
  /** Monotonic milliseconds. */
  freshUntil: number;
  /** One question at a time, whoever waits for it. */
  reading: Promise<Addresses | string> | null;
}

interface KnownClient {
  /** Name of its Secret. */
  readonly secret: string;
  breaker: HelperBreaker;
  underway: number;
  failing: boolean;
}

/** Policies come and go: those of long ago are forgotten first. */
function known<T>(all: Map<string, T>, name: string, make: () => T): T {
  let found = all.get(name);
  if (found === undefined) {
    const [oldest] = all.keys();
    if (all.size >= knownMax && oldest !== undefined) all.delete(oldest);
    all.set(name, found = make());
  }
  return found;
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
  const { protocol, href, username, password, hash } = new URL(value);
  if (username !== '' || password !== '' || hash !== '') return '';
  return protocol === 'https:' || (allowHttp && protocol === 'http:') ? href : '';
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && Buffer.compare(a, b) === 0);
}

function unavailable(problem: string): LoginAnswer {
  return { outcome: 'unavailable', problem };
}

const underwayMax = 128;
const answerBytesMax = 65_536;
const knownMax = 256;
const addressesFreshMs = 600_000;
